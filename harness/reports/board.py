"""Where each running build is: its stage, since when, and what its machine said last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import plain
from harness.events import BuildFinished, Event, Output, Progress, StageStarted
from harness.units import human

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAIL = 4096
"""Bytes of its output in which a build's last line is looked for."""
_BAR = 20
"""Characters of a progress bar."""


@dataclass
class Row:
    """A build that runs; ``since`` is when its stage began."""

    stage: str
    since: float
    tail: bytes = b""
    progress: Progress | None = None

    def take(self, event: Event) -> None:
        if isinstance(event, Output):
            self.tail = (self.tail + event.data)[-_TAIL:]
            self.progress = None
        elif isinstance(event, Progress):
            self.progress = event

    def last_line(self) -> str:
        lines = (
            plain.line(x).strip() for x in self.tail.decode(errors="replace").split("\n")[::-1]
        )
        return next(filter(None, lines), "")


class Board:
    """The builds that run, in the order in which they began."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def take(self, event: Event, now: float) -> None:
        """Note an event of the time ``now``, in seconds of any clock."""
        if isinstance(event, StageStarted):
            self._rows[event.build] = Row(event.stage, now)
        elif isinstance(event, BuildFinished):
            self._rows.pop(event.build, None)
        elif row := self._rows.get(event.build):
            row.take(event)

    def builds(self) -> list[str]:
        return list(self._rows)

    def sentence(self, build: str, now: float) -> str:
        """A build's row as a log has it: ``web.qemu: provision, 3 min: Setting up nginx``."""
        row = self._rows[build]
        return _row(build, row, now, row.progress.text if row.progress else row.last_line())

    def lines(self, now: float) -> Iterator[str]:
        """All rows as a terminal has them, with a bar where something is being transferred."""
        for build, row in self._rows.items():
            yield _row(build, row, now, bar(row.progress) if row.progress else row.last_line())


def bar(progress: Progress) -> str:
    """Its bar comes first, so that a narrow terminal has it too."""
    if not progress.total:
        return f"{human(progress.done)}, {progress.what}"
    share = min(1.0, progress.done / progress.total)
    filled = "#" * int(share * _BAR)
    percent = int(share * 100)
    return f"[{filled:.<{_BAR}}] {percent} % of {human(progress.total)}, {progress.what}"


def duration(seconds: float) -> str:
    """As people say it: ``12 s``, ``3 min``, ``3 min 12 s``, ``2 h 5 min``."""
    minutes, rest = divmod(int(seconds), 60)
    if minutes >= 60:  # noqa: PLR2004 - an hour's
        return f"{minutes // 60} h {minutes % 60} min"
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _row(build: str, row: Row, now: float, text: str) -> str:
    return f"{build}: {row.stage}, {duration(now - row.since)}" + (f": {text}" if text else "")
