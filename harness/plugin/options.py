"""The harness's own options of the pytest command."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from harness.scheduler import Bound


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "machine images")
    group.addoption(
        "--cold",
        action="store_true",
        help="boot every machine from the start, though a saved one could be resumed",
    )
    group.addoption(
        "--parallel-builds",
        type=_count,
        metavar="N",
        help="builds that may run at once; default: as many local machines as this computer's "
        "memory and cores hold, and all others",
    )


def bound(config: pytest.Config) -> Bound:
    """Which builds may run beside each other."""
    from harness import admission, computer

    builds: int | None = config.getoption("parallel_builds")
    return admission.WhatFits(computer.capacity()) if builds is None else admission.AtMost(builds)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of builds: write 1 or more")
    return int(text)
