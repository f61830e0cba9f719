"""Many builds at once, owned by one session."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Protocol

from harness.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from harness.cancel import CancelToken
    from harness.lifecycle import BuildRun
    from harness.model import LocalDemand


class Bound(Protocol):
    """How many builds may run at once; `harness.admission` has them."""

    def admits(self, demand: LocalDemand, running: Sequence[LocalDemand]) -> bool:
        """Whether one more build may start beside those that run."""


class Scheduler:
    """Starts builds as the bound allows, and says which of them has news.

    Args:
        runs: the session's selected builds.
        cancel: their token.
        bound: which of them may run beside each other.
    """

    def __init__(self, runs: Sequence[BuildRun], cancel: CancelToken, bound: Bound) -> None:
        self.runs = {run.name: run for run in runs}
        self._cancel = cancel
        self._bound = bound
        self._news: queue.SimpleQueue[tuple[BuildRun, State]] = queue.SimpleQueue()
        self._waiting: dict[BuildRun, Mapping[str, Any]] = {}
        self._running: dict[BuildRun, LocalDemand] = {}
        # Builds end in threads of their own, and the next ones start there and then.
        self._admission = threading.Lock()

    @property
    def waiting(self) -> list[BuildRun]:
        """Builds that the bound keeps back."""
        with self._admission:
            return list(self._waiting)

    @property
    def has_news(self) -> bool:
        """Whether a build has become ready, has failed or finished, and nobody was told yet."""
        return not self._news.empty()

    def start(self, run: BuildRun, arguments: Mapping[str, Any]) -> None:
        """Start a build now, or as soon as the bound allows it."""
        with self._admission:
            self._waiting[run] = arguments
        self._admit()

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
        if any(r.state is not State.FINISHED for r in self.runs.values()):
            with self._admission:  # from here on no build starts
                self._cancel.cancel()
        for run in self.runs.values():
            run.join()
        for run in self.runs.values():
            if run.state is State.WAITING:
                run.never_start("the run was stopped before this build began: no image was taken")

    def _listen(self, run: BuildRun) -> None:
        self._news.put((run, run.state))
        if run.state is State.FINISHED:
            with self._admission:
                self._running.pop(run, None)
            self._admit()

    def _admit(self) -> None:
        """Start what may start, in order: no machine of this computer overtakes another."""
        with self._admission:
            kept_back = False
            for run, arguments in list(self._waiting.items()):
                if self._cancel.is_set():
                    return
                demand = run.source.local_demand()
                running = list(self._running.values())
                if (demand and kept_back) or not self._bound.admits(demand, running):
                    kept_back = True
                    continue
                del self._waiting[run]
                self._running[run] = demand
                run.start(arguments, self._listen)

    def _next(self) -> tuple[BuildRun, State]:
        while True:
            try:
                # With a timeout, so that a signal's exception is raised while we wait.
                return self._news.get(timeout=0.2)
            except queue.Empty:
                continue
