"""Run a long program: its lines as they come, and nothing left of it when the run is cancelled."""

from __future__ import annotations

import os
import shlex
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness import local_process
from harness.errors import TAIL_LINES, SourceError, ToolMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Runner(Protocol):
    """Runs a program to its end, or raises."""

    def __call__(self, argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> None:
        """Run ``argv`` with ``environ`` added to this process's environment."""


@dataclass(frozen=True)
class ChildRunner:
    """Runs each program in a session of its own and looks at ``cancelled`` while it waits."""

    log: Callable[[str], None]
    cancelled: Callable[[], bool]

    def __call__(self, argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> None:
        lines = _Lines(self.log)
        result = local_process.run(
            argv,
            environ={"PATH": search_path(), "LC_ALL": "C.UTF-8", **(environ or {})},
            cancelled=self.cancelled,
            on_output=lines.feed,
        )
        lines.end()
        if result.failed:
            raise SourceError(
                f"{shlex.join(argv)}\nfailed with exit status {result.exit_status}; "
                f"its last lines:\n" + "\n".join(f"  {line}" for line in lines.tail)
            )


class _Lines:
    """Makes lines of what comes in pieces, and keeps the last ones."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._log = log
        self._rest: dict[str, bytes] = {}

    def feed(self, stream: str, data: bytes) -> None:
        *lines, self._rest[stream] = (self._rest.get(stream, b"") + data).split(b"\n")
        for line in lines:
            if line.strip():
                self.tail.append(_last_overprint(line))
                self._log(self.tail[-1])

    def end(self) -> None:
        """Take what had no end as lines too."""
        for stream in [s for s, rest in self._rest.items() if rest]:
            self.feed(stream, b"\n")


def search_path() -> str:
    """PATH, with the directories where a plain user's PATH often lacks mke2fs and sfdisk."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def require_tools(tools: Mapping[str, str], purpose: str) -> None:
    """Raise unless every program, or file with its path, is installed.

    ``tools`` has the Debian package of each.
    """
    missing = {tool: package for tool, package in tools.items() if not _is_there(tool)}
    if missing:
        named = ", ".join(f"{tool} (package {package})" for tool, package in missing.items())
        packages = " ".join(sorted(set(missing.values())))
        raise ToolMissingError(
            f"{purpose} needs {named}, which this machine does not have. "
            f"Install with: apt-get install {packages}"
        )


def _is_there(tool: str) -> bool:
    is_path = tool.startswith("/")
    return Path(tool).exists() if is_path else bool(shutil.which(tool, path=search_path()))


def _last_overprint(line: bytes) -> str:
    """The line as a terminal would end up showing it: progress bars print over themselves."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace").rstrip()
