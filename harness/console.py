"""What a machine's serial console says that is worth knowing."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from harness import plain
from harness.errors import TAIL_LINES, ConnectError, DisconnectedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# What a kernel, an initramfs, systemd and cloud-init print where nothing good can follow.
_TROUBLE = (
    (re.compile(r"Kernel panic - not syncing: *(.*)"), "its kernel panicked: {}"),
    (re.compile(r"ALERT! +(.*)|No init found"), "it has no root file system: {}"),
    (re.compile(r"(?:You are in|Entering) (?:emergency|rescue) mode"), "systemd gave up: {}"),
    (re.compile(r"FAILED\W+(Failed to start cloud-\S+.*)"), "cloud-init failed: {}"),
    (re.compile(r"cloud-init\[\d+\]: .*?(Failed loading yaml.*)"), "cloud-init failed: {}"),
    (re.compile(r"cloud-init\[\d+\]: .*?(Running module \S+) .*failed"), "cloud-init failed: {}"),
)


def trouble(console: bytes) -> str | None:
    """Why a machine with such a console will never let anybody in; None: it may yet."""
    text = _plain(console)
    for pattern, sentence in _TROUBLE:
        if found := pattern.search(text):
            return sentence.format(found[found.lastindex or 0].strip())
    return None


def tail(console: bytes) -> str:
    """Its last lines, as an error shows them; empty: there are none."""
    lines = [line for line in _plain(console).splitlines() if line.strip()]
    if not lines:
        return ""
    cut = f", last {TAIL_LINES} of {len(lines)} lines" if len(lines) > TAIL_LINES else ""
    return "\n".join([f"console{cut}:", *(f"  {line}" for line in lines[-TAIL_LINES:])])


@contextlib.contextmanager
def shown(read: Callable[[], bytes]) -> Iterator[None]:
    """Let an error about a machine or its connection tell the end of what ``read`` returns."""
    try:
        yield
    except (ConnectError, DisconnectedError, SourceError) as error:
        if text := tail(read()):
            error.add_note(text)
        raise


class Watch:
    """A console that grows in a file, read bit by bit."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0
        self._trouble: str | None = None

    def trouble(self) -> str | None:
        """What `trouble` says of it, from then on as well."""
        with self._file.open("rb") as file:
            file.seek(self._position)
            lines, newline, _ = file.read().rpartition(b"\n")
        self._position += len(lines + newline)
        self._trouble = self._trouble or trouble(lines)
        return self._trouble


def _plain(console: bytes) -> str:
    text = plain.without_escapes(console.decode(errors="replace"))
    return text.replace("\r\n", "\n").replace("\r", "\n")
