"""The token that every wait of a run looks at, so that stopping takes no time."""

from __future__ import annotations

import threading

from harness.errors import CancelledError


class CancelToken:
    """Set once, seen by every thread of a run."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise `CancelledError` if the run is being stopped."""
        if self._event.is_set():
            raise CancelledError("the run is being stopped")

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise `CancelledError` as soon as the run is being stopped."""
        if self._event.wait(seconds):
            self.check()
