"""Which of pytest-xdist's workers gets which builds, so that together they keep to the bound.

Every worker works this out for itself, from what all of them know alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import computer
from harness.plugin import worker
from harness.plugin.items import BUILD, may_ask_for_a_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.model import LocalDemand

    Part = tuple[bool, str]

BUILDERS = pytest.StashKey[int]()
"""How many workers have a part of the bound, and the builds that it counts."""


def share(
    config: pytest.Config, items: list[pytest.Item], demands: Mapping[str, LocalDemand]
) -> list[pytest.Item]:
    """A worker's items: some of the builds, and some modules of tests that belong to none.

    Each worker runs one build at a time at least. So where fewer may run than there are workers,
    or where a worker's part of this computer would not hold the largest machine, the builds that
    are bounded go to fewer workers; all others, and other tests, go to all. ``demands`` says what
    the machine of each build needs of this computer.
    """
    parts = _parts(items)
    bounded = _bounded(config, parts, demands)
    workers, builders = worker.count(config), _builders(config, demands.values())
    config.stash[BUILDERS] = builders
    others = sorted(set(parts.values()).difference(bounded))
    owners = {part: place % builders for place, part in enumerate(bounded)}
    owners |= {part: place % workers for place, part in enumerate(others, len(bounded))}
    return [item for item in items if owners[parts[item]] == worker.number(config)]


def builds(config: pytest.Config, at_most: int) -> int:
    """How many of the builds that may run at once may run here."""
    whole, more = divmod(at_most, config.stash.get(BUILDERS, 1))
    return whole + (worker.number(config) < more)


def capacity(config: pytest.Config) -> LocalDemand:
    """What this computer can give to the machines that run here."""
    return _whole(config).divided(config.stash.get(BUILDERS, 1))


def _whole(config: pytest.Config) -> LocalDemand:
    # Memory that is free changes: what the controller has found is what all workers divide.
    return worker.capacity(config) or computer.capacity()


def _builders(config: pytest.Config, demands: Iterable[LocalDemand]) -> int:
    """How many workers get builds that are bounded."""
    at_most: int | None = config.getoption("parallel_builds")
    workers = worker.count(config)
    if at_most is not None:
        return min(workers, at_most)
    whole, listed = _whole(config), list(demands)
    fitting = (n for n in range(workers, 1, -1) if all(d.fits(whole.divided(n)) for d in listed))
    return next(fitting, 1)


def _bounded(
    config: pytest.Config, parts: Mapping[pytest.Item, Part], demands: Mapping[str, LocalDemand]
) -> list[Part]:
    """The parts with builds that the bound counts, in order."""
    all_are = config.getoption("parallel_builds") is not None
    named = {(part, item.stash.get(BUILD, "")) for item, part in parts.items()}
    return sorted({part for part, name in named if name and (all_are or demands.get(name))})


def _parts(items: list[pytest.Item]) -> dict[pytest.Item, Part]:
    """What must stay together; builds come first, so that they are dealt out evenly."""
    builds = {item: item.stash.get(BUILD, None) for item in items}
    whole = {item.path for item in items if not builds[item] and may_ask_for_a_build(item)}
    first: dict[Path, str] = {}
    for item in items:
        if (name := builds[item]) and item.path in whole:
            first.setdefault(item.path, name)
    return {
        item: (not name and item.path not in first, first.get(item.path, name or str(item.path)))
        for item, name in builds.items()
    }
