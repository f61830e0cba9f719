"""Work that waits for answers, side by side."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")


def together(work: Mapping[K, Callable[[], T]]) -> dict[K, Future[T]]:
    """Do all of it at once, in threads, and wait until all of it is over.

    Work that fails does not end the rest, and stopping the run is the work's own concern: what it
    makes must be known to whoever cleans up.

    Returns:
        What became of each.
    """
    futures = {key: _started(each) for key, each in work.items()}
    wait(futures.values())
    return futures


def all_results(work: Mapping[K, Callable[[], T]]) -> dict[K, T]:
    """What each of them returns; or else the first error, with the others as notes of it."""
    futures = together(work)
    errors = [error for future in futures.values() if (error := future.exception())]
    for other in errors[1:]:
        errors[0].add_note(str(other))
    if errors:
        raise errors[0]
    return {key: future.result() for key, future in futures.items()}


def _started(work: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def settle() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised by whoever wants the result
            future.set_exception(error)

    # What is printed belongs to the build that we belong to; a daemon holds up no exit.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(settle,), daemon=True).start()
    return future
