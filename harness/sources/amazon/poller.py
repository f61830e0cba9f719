"""Waiting for things to change, for all builds of an account and region with one call each time.

Whoever waits and finds that the last answer is old asks for all that is waited for; the others use
the answer. Nothing runs while nobody waits.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import CancelledError, SourceError
from harness.sources.amazon.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from harness.cancel import CancelToken

    Describe = Callable[[Collection[str]], Mapping[str, Any]]
    """Tells what there is of things by their ids; what it does not find is not in the answer."""

T = TypeVar("T")

ABSENT_SECONDS = 120.0
"""How long a thing that was just made may be unknown to the API."""
_LOOK = 0.2
"""Seconds between two looks at the cancel token."""
_SLOWEST = 8.0


@dataclass(frozen=True)
class Pace:
    """How often to ask, in seconds: ``first`` at the start, slower with time, ``slowest`` at last.

    ``growth`` is how many seconds more between two calls each second of waiting brings.
    """

    first: float = 1.5
    slowest: float = 6.0
    growth: float = 0.03

    def seconds(self, waited: float) -> float:
        return min(self.slowest, self.first + self.growth * waited)


@dataclass(frozen=True)
class Answer:
    asked: frozenset[str]
    found: Mapping[str, Any]
    error: Exception | None = None


class Poller:
    """Asks after things of one kind in one region.

    Args:
        kind: what messages call them: ``instance``.
        clock: seconds that only grow.
    """

    def __init__(self, kind: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._kind = kind
        self._clock = clock
        self._changed = threading.Condition()
        self._wanted: dict[str, int] = {}
        self._asking = False
        self._asked_at: dict[str, float] = {}
        self._answers = 0
        self._answer = Answer(frozenset(), {})
        self._slowness = 1.0

    def wait(
        self,
        id: str,
        describe: Describe,
        done: Callable[[Any], T | None],
        cancel: CancelToken,
        *,
        timeout: float,
        pace: Pace = Pace(),
        waiting_for: str = "",
    ) -> T:
        """Wait until ``done`` makes something of what the API tells of a thing.

        Args:
            id: the thing's.
            describe: asks the API, once; the call may be made for others too.
            done: given what the API tells of the thing; None: not yet.
            cancel: the run's.
            timeout: seconds.
            pace: how often to ask.
            waiting_for: for messages.

        Raises:
            SourceError: it took too long, or the thing is not there; or whatever ``done`` raises.
            ApiError: the API refuses to tell.
            CancelledError: the run is being stopped.
        """
        start, seen, last = self._clock(), self._answers, None
        with self._waiting(id):
            while True:
                cancel.check()
                waited = self._clock() - start
                answer, seen = self._next(id, describe, seen, pace.seconds(waited))
                if answer is not None:
                    last = answer.found.get(id, last)
                    result = self._made_of(answer, id, done, last, waited)
                    if result is not None:
                        return result
                if waited > timeout:
                    raise SourceError(
                        f"{self._kind} {id}: not {waiting_for or 'done'} after {waited:.0f} s"
                    )

    def _made_of(
        self, answer: Answer, id: str, done: Callable[[Any], T | None], last: Any, waited: float
    ) -> T | None:
        if answer.error is not None:
            if _says_nothing(answer.error):
                return None
            raise answer.error
        if id in answer.found:
            return done(answer.found[id])
        if last is not None or waited > ABSENT_SECONDS:
            raise SourceError(f"{self._kind} {id} is not there: somebody has removed it?")
        return None  # one part of the API does not know yet what another has made

    @contextlib.contextmanager
    def _waiting(self, id: str) -> Iterator[None]:
        with self._changed:
            self._wanted[id] = self._wanted.get(id, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._wanted[id] -= 1
                if not self._wanted[id]:
                    del self._wanted[id]
                    self._asked_at.pop(id, None)

    def _next(
        self, id: str, describe: Describe, seen: int, pause: float
    ) -> tuple[Answer | None, int]:
        """An answer about the thing that has not been seen yet, if there is one by now."""
        with self._changed:
            if self._answers > seen and id in self._answer.asked:
                return self._answer, self._answers
            pause *= self._slowness
            due = self._asked_at[id] + pause if id in self._asked_at else self._clock()
            left = due - self._clock()
            if self._asking or left > 0:
                self._changed.wait(_LOOK if self._asking else min(left, _LOOK))
                return None, seen
            self._asking, asked = True, frozenset(self._wanted)
        answer = _ask(describe, asked)
        with self._changed:
            self._take(answer)
            return answer, self._answers

    def _take(self, answer: Answer) -> None:
        self._asking = False
        self._answer = answer
        self._answers += 1
        now = self._clock()
        # Waits that began together must not stay in step with those of other computers.
        jitter = random.uniform(0, 0.2)  # noqa: S311 - no secret
        self._asked_at.update(dict.fromkeys(answer.asked & self._wanted.keys(), now + jitter))
        throttled = isinstance(answer.error, ApiError) and answer.error.is_throttling
        self._slowness = min(_SLOWEST, self._slowness * 2) if throttled else 1.0
        self._changed.notify_all()


def _says_nothing(error: Exception) -> bool:
    """Whether the next answer may be better; who asked may have been stopped, and we were not."""
    return isinstance(error, CancelledError) or (isinstance(error, ApiError) and error.is_transient)


def _ask(describe: Describe, asked: frozenset[str]) -> Answer:
    try:
        return Answer(asked, describe(sorted(asked)))
    except Exception as error:  # noqa: BLE001 - raised again by each that waits
        return Answer(asked, {}, error)
