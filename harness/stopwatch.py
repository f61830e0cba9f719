"""How long a build's stages take, and the provisioning calls in them."""

from __future__ import annotations

import contextlib
import functools
import inspect
import time
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from harness.events import CallFinished, StageFinished, StageStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.events import Dispatcher

LONGEST_NAME = 60
"""Characters of a call that are shown."""
PROVISION = "provision"
"""The stage whose calls are told one by one."""

P = ParamSpec("P")
T = TypeVar("T")


class Stopwatch:
    """Tells of each stage of a build when it begins and ends, of each call when it ends.

    A stage may have others in it, as booting has making the base: each second counts once.

    Attributes:
        seconds: by the names of the stages that have ended.
    """

    def __init__(self, build: str, events: Dispatcher) -> None:
        self.seconds: dict[str, float] = {}
        self._build = build
        self._events = events
        self._stage = ""
        self._inside = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens meanwhile as this stage."""
        before, self._inside = self._inside, 0.0
        outer, self._stage = self._stage, name
        self._events.emit(StageStarted(self._build, name))
        started, failure = time.monotonic(), None
        try:
            yield
        except BaseException as error:
            failure = str(error) or type(error).__name__
            raise
        finally:
            taken = time.monotonic() - started
            self.tell(name, max(0.0, taken - self._inside), failure)
            self._stage, self._inside = outer, before + taken
            if outer:
                self._events.emit(StageStarted(self._build, outer))

    def tell(self, stage: str, seconds: float, failure: str | None = None) -> None:
        """A stage has ended that was timed elsewhere; of one that came before it is the sum."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self._events.emit(StageFinished(self._build, stage, self.seconds[stage], failure))

    @contextlib.contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Time what happens meanwhile as one call, where it provisions the machine."""
        started = time.monotonic()
        try:
            yield
        finally:
            if self._stage == PROVISION:
                seconds = time.monotonic() - started
                self._events.emit(CallFinished(self._build, name, seconds))


class Timed(Protocol):
    """What has methods that are `timed`."""

    @property
    def stopwatch(self) -> Stopwatch: ...


S = TypeVar("S", bound=Timed)


def timed(
    *named_by: str,
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Time a method's calls, named by the first of these arguments that was given."""

    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            given = signature.bind(self, *args, **kwargs).arguments
            with self.stopwatch.call(_name(method.__name__, [given.get(n) for n in named_by])):
                return method(self, *args, **kwargs)

        return call

    return decorate


def _name(method: str, values: list[object]) -> str:
    value = next((v for v in values if v), "")
    text = str(value[0] if isinstance(value, tuple) else value).strip()
    line = f"{method} {text}".strip().split("\n")[0]
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"
