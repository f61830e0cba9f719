"""The token that every wait of a run looks at, so that stopping takes no time."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

from harness.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


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

    def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, which may block: it runs in a thread that stopping leaves behind.

        ``work`` must look at this token itself before it changes anything.
        """
        outcome: Future[T] = Future()

        def settle() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again below
                outcome.set_exception(error)

        # What it prints belongs to the build that we belong to.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(settle,), daemon=True).start()
        while not outcome.done():
            self.check()
            wait([outcome], timeout=0.1)
        return outcome.result()
