"""`reports/<build>/build.log` and `console.log`: what a build's machine printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from harness.events import (
    BuildFinished,
    BuildStarted,
    ConsoleRead,
    Event,
    Notice,
    Output,
    Progress,
    StageFinished,
    StageStarted,
)

if TYPE_CHECKING:
    from pathlib import Path


CONSOLE = "console.log"


def relative_path(build: str) -> str:
    return f"reports/{build}/build.log"


class Logs:
    """A folder for each build of a run, begun anew: its log as it comes, its console in the end."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, BinaryIO | None] = {}
        """None: not begun; with the first line, in the build's thread, which holds up no other."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, BuildStarted):
            self._files[event.build] = None
        elif event.build in self._files and not isinstance(event, StageStarted):
            file = self._files[event.build] or self._begin(event.build)
            if isinstance(event, ConsoleRead) and event.data:
                self._path(event.build).with_name(CONSOLE).write_bytes(event.data)
            self._write(event, file)

    def _path(self, build: str) -> Path:
        return self._root / relative_path(build)

    def _begin(self, build: str) -> BinaryIO:
        path = self._path(build)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(CONSOLE).unlink(missing_ok=True)
        self._files[build] = file = path.open("wb", buffering=0)
        return file

    def _write(self, event: Event, file: BinaryIO) -> None:
        if isinstance(event, Output):
            file.write(event.data)
        elif isinstance(event, StageFinished):
            end = f": {event.error}" if event.error else ""
            file.write(f"== {event.stage} {event.seconds:.2f} s{end}\n".encode())
        elif isinstance(event, Notice | Progress):
            file.write(f"== {event.text}\n".encode())
        elif isinstance(event, BuildFinished):
            file.write(f"== {event.image.id if event.image else event.reason}\n".encode())
            file.close()
            del self._files[event.build]
