"""Many builds at once, owned by one session."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from harness.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from harness.cancel import CancelToken
    from harness.lifecycle import BuildRun


class Scheduler:
    """Starts builds and says which of them has news.

    Args:
        runs: the session's selected builds.
        cancel: their token.
    """

    def __init__(self, runs: Sequence[BuildRun], cancel: CancelToken) -> None:
        self.runs = {run.name: run for run in runs}
        self._cancel = cancel
        self._news: queue.SimpleQueue[tuple[BuildRun, State]] = queue.SimpleQueue()

    def start(self, run: BuildRun, arguments: Mapping[str, Any]) -> None:
        run.start(arguments, self._listen)

    def fail(self, run: BuildRun, error: BaseException) -> None:
        """A build that cannot start: it is news at once."""
        run.never_start(error=error)
        self._listen(run)

    def skip(self, run: BuildRun, reason: str) -> None:
        """A build whose machine nothing needs."""
        run.never_start(reason)
        self._listen(run)

    def news(self) -> Iterator[tuple[BuildRun, bool]]:
        """Each build as it becomes ready, fails or finishes, and whether it has finished."""
        running = set(self.runs)
        while running:
            run, state = self._next()
            finished = state is State.FINISHED
            yield run, finished
            if finished:
                running.discard(run.name)

    def close(self) -> None:
        """Stop what still runs, and wait until all that it created is gone."""
        if any(r.state not in (State.WAITING, State.FINISHED) for r in self.runs.values()):
            self._cancel.cancel()
        for run in self.runs.values():
            run.join()

    def _listen(self, run: BuildRun) -> None:
        self._news.put((run, run.state))

    def _next(self) -> tuple[BuildRun, State]:
        while True:
            try:
                # With a timeout, so that a signal's exception is raised while we wait.
                return self._news.get(timeout=0.2)
            except queue.Empty:
                continue
