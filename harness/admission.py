"""Which builds may run beside each other: the bound of `Scheduler`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.model import LocalDemand
from harness.units import human

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class AtMost:
    """So many builds at once, whatever they need."""

    builds: int

    def admits(self, demand: LocalDemand, running: Sequence[LocalDemand]) -> bool:
        """Whether one more build may start beside those that run."""
        del demand
        return len(running) < self.builds

    def __str__(self) -> str:
        return f"--parallel-builds {self.builds}"


@dataclass(frozen=True)
class WhatFits:
    """What this computer's memory and cores hold; nothing bounds what runs elsewhere.

    A machine that is too large for the computer runs when no other does.
    """

    capacity: LocalDemand

    def admits(self, demand: LocalDemand, running: Sequence[LocalDemand]) -> bool:
        """Whether one more build may start beside those that run."""
        beside = [other for other in running if other]
        return not demand or not beside or _sum([demand, *beside]).fits(self.capacity)

    def __str__(self) -> str:
        memory = human(self.capacity.memory << 20)
        cores = f"{self.capacity.cpus} virtual core{'s' if self.capacity.cpus != 1 else ''}"
        return (
            f"this computer's {memory} of free memory and {cores} hold no more local machines at "
            "once (--parallel-builds sets another bound)"
        )


def _sum(demands: Iterable[LocalDemand]) -> LocalDemand:
    listed = list(demands)
    return LocalDemand(sum(d.memory for d in listed), sum(d.cpus for d in listed))
