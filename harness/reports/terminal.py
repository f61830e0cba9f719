"""What a build says on the terminal while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.events import Event, Notice, Output, Progress, StageFinished

if TYPE_CHECKING:
    import pytest


class Terminal:
    """Notices always; with ``-s`` every line that the machine prints, behind its build's name."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter = config.pluginmanager.getplugin("terminalreporter")
        self._streams = config.getoption("capture") == "no"
        self._rest: dict[tuple[str, str], bytes] = {}

    def __call__(self, event: Event) -> None:
        if self._reporter is None:
            return
        if isinstance(event, Notice | Progress):
            self._write(f"{event.build}: {event.text}" if event.build else event.text)
        elif isinstance(event, Output) and self._streams:
            self._lines(event)
        elif isinstance(event, StageFinished) and self._streams:
            self._flush(event.build)

    def _lines(self, event: Output) -> None:
        key = (event.build, event.stream)
        *lines, self._rest[key] = (self._rest.get(key, b"") + event.data).split(b"\n")
        for line in lines:
            self._write(f"{event.build} | {line.decode(errors='replace')}")

    def _flush(self, build: str) -> None:
        """A last line that had no end."""
        for key in [k for k, rest in self._rest.items() if k[0] == build and rest]:
            self._write(f"{build} | {self._rest.pop(key).decode(errors='replace')}")

    def _write(self, line: str) -> None:
        self._reporter.ensure_newline()
        self._reporter.write_line(line)
        self._reporter.flush()  # in a file or pipe too: CI wants to see life
