"""Which builds may run beside each other, without any."""

from __future__ import annotations

import pytest

from harness import computer
from harness.admission import AtMost, WhatFits
from harness.model import LocalDemand

COMPUTER = WhatFits(LocalDemand(memory=4096, cpus=4))
CLOUD = LocalDemand()
SMALL, LARGE = LocalDemand(memory=1024, cpus=1), LocalDemand(memory=8192, cpus=1)


@pytest.mark.parametrize(
    ("demand", "running", "admitted"),
    [
        (SMALL, [], True),
        (SMALL, [SMALL] * 3, True),
        (SMALL, [SMALL] * 4, False),
        (LocalDemand(memory=1, cpus=3), [LocalDemand(memory=1, cpus=2)], False),
        (LARGE, [], True),
        (LARGE, [CLOUD] * 50, True),
        (LARGE, [SMALL], False),
        (SMALL, [LARGE], False),
        (CLOUD, [LARGE, SMALL], True),
    ],
)
def test_what_fits(demand: LocalDemand, running: list[LocalDemand], admitted: bool) -> None:
    assert COMPUTER.admits(demand, running) is admitted


def test_a_number_bounds_builds_of_any_kind() -> None:
    assert AtMost(2).admits(LARGE, [LARGE])
    assert not AtMost(2).admits(CLOUD, [CLOUD, CLOUD])


def test_this_computer_has_memory_and_cores() -> None:
    capacity = computer.capacity()
    assert capacity.memory > 64
    assert capacity.cpus >= 1
