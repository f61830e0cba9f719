"""What ends a session from outside: Ctrl-C, SIGTERM, SIGHUP. Once: then it is cleaning up."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Signals:
    """Turns the first signal into an exception in the main thread and ignores all others."""

    def __init__(self) -> None:
        self._stopping = False

    def listen(self) -> None:
        """Hear signals again: the session goes on, whoever has caught the last one's exception."""
        self._stopping = False

    def ignore(self) -> None:
        """Hear none: the session is cleaning up."""
        self._stopping = True

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job
            numbers.remove(signal.SIGINT)
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._stopping:
            return
        self._stopping = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        # pytest by itself would just die.
        pytest.exit(f"stopped by {signal.Signals(number).name}", returncode=128 + number)
