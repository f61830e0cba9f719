"""How long a build's stages take, and the provisioning calls in them."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.events import CallFinished, StageFinished, StageStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.events import Dispatcher

PROVISION = "provision"
"""The stage whose calls are told one by one."""


@dataclass
class Told:
    """What is to be told of a call beside its time: see `CallFinished`."""

    reason: str | None = ""

    def why(self, reason: str | None) -> None:
        self.reason = reason


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
    def call(self, name: str) -> Iterator[Told]:
        """Time what happens meanwhile as one call, where it provisions the machine."""
        started, told, inside = time.monotonic(), Told(), self._inside
        try:
            yield told
        finally:
            if self._stage == PROVISION:
                # Without stages inside it, such as the saving of the machine.
                seconds = time.monotonic() - started - (self._inside - inside)
                self._events.emit(CallFinished(self._build, name, seconds, told.reason))
