"""A program on a pseudo-terminal of its own, and what a person sees there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Tty:
    """Runs a command; ``columns`` and ``rows`` are the window's size."""

    def __init__(
        self, command: Sequence[str], folder: Path, columns: int, rows: int, **environ: str
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self._screen)
        self._terminal, theirs = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "env", "--default-signal=INT", *command],
            cwd=folder,
            env={**os.environ, "TERM": "xterm", **environ},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def resize(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        self._screen.resize(rows, columns)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    @property
    def screen(self) -> list[str]:
        """What is on the screen, without the empty lines below."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def everything(self) -> str:
        """The screen, and what has scrolled off it."""
        columns = range(self._screen.columns)
        gone = ["".join(line[c].data for c in columns) for line in self._screen.history.top]
        return "\n".join([*(line.rstrip() for line in gone), *self.screen])

    def until(self, holds: Callable[[], bool]) -> None:
        """Look on until something can be seen."""
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline, self.everything
            assert self._look() or holds(), self.everything

    def finish(self) -> int:
        """Look on until the program has ended; its exit status."""
        while self._look():
            pass
        return self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._terminal)

    def _look(self) -> bool:
        """Take in what has come; whether the program is still there."""
        if not select.select([self._terminal], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # all its ends are closed
            return False
        self._stream.feed(data)
        return bool(data)
