"""What builds say on the terminal, or in the log that stands in for it, while they run.

Events come from the threads of builds, and only wait here: what they say is written between two
of pytest's own lines, or by a thread that looks ten times a second.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

from harness import plain
from harness.events import (
    BuildFinished,
    CallFinished,
    Event,
    Notice,
    Output,
    Progress,
    StageFinished,
    StageStarted,
)
from harness.reports.board import Board
from harness.reports.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

REFRESH_SECONDS = 0.1
HEARTBEAT_SECONDS = 60.0
"""After so long without a line of it a build says in a log that it is alive."""
PROGRESS_SECONDS = 15.0
"""Between two lines in a log about something that is being transferred."""


class Terminal:
    """A reader of events, and a context: only inside it is anything written.

    Notices are written always; with ``-s`` every line that a machine prints, behind its build's
    name. Unless ``-q`` is given, a terminal has one live line for each running build below all
    else; a file or pipe, and a terminal that is written to by others too (``-s``) or cannot move
    its cursor, has a line for each stage and each minute.

    Args:
        config: pytest's.
        streams: whether ``-s`` shows each line.
        clock: tells seconds.
    """

    def __init__(
        self,
        config: pytest.Config,
        *,
        streams: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._capture = config.getoption("capture", "no")
        self._streams = streams and self._capture == "no"
        self._quiet = config.option.verbose < 0
        self._clock = clock
        self._lock = threading.RLock()
        self._events: queue.SimpleQueue[tuple[float, Event]] = queue.SimpleQueue()
        self._board = Board()
        self._log = Log(self._board)
        self._rest: dict[tuple[str, str], bytes] = {}
        self._screen: Screen | None = None
        self._paused = 0
        self._closing = threading.Event()
        self._open = contextlib.ExitStack()

    @property
    def _reporter(self) -> Any:
        """None where nothing is written, as in workers of pytest-xdist."""
        return self._config.pluginmanager.getplugin("terminalreporter")

    def __call__(self, event: Event) -> None:
        if self._reporter is not None:
            self._events.put((self._clock(), event))

    def __enter__(self) -> Self:
        if self._reporter is not None:
            self._open.callback(self._finish)
            self._open.enter_context(self._redirected())
            thread = threading.Thread(target=self._refresh, name="harness terminal", daemon=True)
            thread.start()
            self._open.callback(thread.join)
            self._open.callback(self._closing.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Nothing of ours comes into the lines that are written meanwhile."""
        with self._lock:
            self.catch_up()
            yield

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing at all is written meanwhile: somebody else has the terminal."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        with self._lock:
            self._paused += 1
            if self._screen is not None:
                self._screen.erase()

    def resume(self) -> None:
        with self._lock:
            self._paused = max(0, self._paused - 1)

    def catch_up(self) -> None:
        """Write what waits."""
        with self._lock, contextlib.suppress(queue.Empty):
            while not self._paused:
                self._say(*self._events.get_nowait())

    def _say(self, now: float, event: Event) -> None:
        self._board.take(event, now)
        if isinstance(event, Notice):
            self._log.spoke(event.build, now)
            self._write(f"{event.build}: {event.text}" if event.build else event.text)
        elif isinstance(event, CallFinished):
            self._explain(event)
        elif isinstance(event, Output):
            self._stream(event)
        elif isinstance(event, StageFinished | BuildFinished):
            self._flush(event.build)
        if self._logs():
            self._write_all(self._log.lines(event, now))

    def _explain(self, event: CallFinished) -> None:
        """With ``-v``: whether a call was answered from the record, or why not."""
        if self._config.option.verbose > 0 and event.reason != "":
            cached = "cached" if event.reason is None else f"not cached: {event.reason}"
            self._write(f"{event.build}: {event.call}: {cached}")

    def _logs(self) -> bool:
        """Whether what happens is told in lines that stay."""
        return self._screen is None and not self._quiet

    def _refresh(self) -> None:
        # Where nobody can see it any more, all else goes on.
        with contextlib.suppress(OSError, ValueError):
            while not self._closing.wait(REFRESH_SECONDS):
                with self._lock:
                    self.catch_up()
                    if not self._paused:
                        self._show(self._clock())

    def _show(self, now: float) -> None:
        if self._screen is not None:
            self._screen.draw(tuple(self._board.lines(now)))
        elif self._logs():
            self._write_all(self._log.heartbeats(now))

    def _finish(self) -> None:
        with contextlib.suppress(OSError):
            self._paused = 0
            self.catch_up()

    def _stream(self, event: Output) -> None:
        if not self._streams:
            return
        key = (event.build, event.stream)
        *lines, self._rest[key] = (self._rest.get(key, b"") + event.data).split(b"\n")
        self._write_all(_streamed(event.build, line) for line in lines)

    def _flush(self, build: str) -> None:
        """A last line that had no end."""
        for key in [k for k, rest in self._rest.items() if k[0] == build and rest]:
            self._write(_streamed(build, self._rest.pop(key)))

    def _write_all(self, lines: Iterator[str]) -> None:
        for line in lines:
            self._write(line)

    def _write(self, line: str) -> None:
        self._reporter.ensure_newline()
        self._reporter.write_line(line)
        self._reporter.flush()  # in a file or pipe too: CI wants to see life

    @contextlib.contextmanager
    def _redirected(self) -> Iterator[None]:
        """Have pytest write where its capturing does not reach, below which live lines may be."""
        writer: Any = self._config.get_terminal_writer()
        before: TextIO = writer._file  # noqa: SLF001 - it has no other way to change its file
        with contextlib.ExitStack() as stack:
            file = before
            if self._capture == "fd" and (copy := _copy(before)):
                file = stack.enter_context(copy)
                if not self._quiet and file.isatty() and os.environ.get("TERM", "dumb") != "dumb":
                    self._screen = Screen(file, self._lock)
            writer._file = self._screen or file  # noqa: SLF001 - see above
            try:
                yield
            finally:
                with self._lock, contextlib.suppress(OSError):
                    if self._screen is not None:
                        self._screen.erase()
                    file.flush()
                writer._file = before  # noqa: SLF001 - see above


class Log:
    """The lines of a log: one for each stage, once, and signs of life."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._spoke: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()

    def spoke(self, build: str, now: float) -> None:
        self._spoke[build] = now

    def lines(self, event: Event, now: float) -> Iterator[str]:
        if isinstance(event, StageStarted) and (event.build, event.stage) not in self._told:
            self._told.add((event.build, event.stage))
            self.spoke(event.build, now)
            yield f"{event.build}: {event.stage}"
        elif isinstance(event, Progress) and self._is_silent(event.build, now, PROGRESS_SECONDS):
            self.spoke(event.build, now)
            yield f"{event.build}: {event.text}"

    def heartbeats(self, now: float) -> Iterator[str]:
        for build in self._board.builds():
            if self._is_silent(build, now, HEARTBEAT_SECONDS):
                self.spoke(build, now)
                yield self._board.sentence(build, now)

    def _is_silent(self, build: str, now: float, seconds: float) -> bool:
        return now - self._spoke.get(build, -seconds) >= seconds


def _streamed(build: str, line: bytes) -> str:
    return f"{build} | {plain.line(line.decode(errors='replace'))}"


def _copy(file: TextIO) -> TextIO | None:
    """Where it leads to now, while no test runs, whatever pytest makes its descriptor later."""
    file.flush()
    try:
        descriptor = os.dup(file.fileno())
    except OSError:  # it has none
        return None
    encoding, errors = file.encoding, file.errors
    return cast("TextIO", open(descriptor, "w", 1, encoding=encoding, errors=errors))  # noqa: PTH123 - of a descriptor; the caller closes it
