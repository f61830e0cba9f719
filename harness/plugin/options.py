"""The harness's own options of the pytest command, and the project's settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from harness import settings
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from harness.scheduler import Bound

SETTINGS = pytest.StashKey[settings.Settings]()


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
        "memory and twice its cores hold, and all others",
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[SETTINGS] = settings.read(config.rootpath)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


def bound(config: pytest.Config) -> Bound:
    """Which builds may run beside each other, here: a worker of several has its part of all."""
    from harness import admission, computer
    from harness.plugin import worker

    builds: int | None = config.getoption("parallel_builds")
    workers = worker.count(config)
    if builds is not None:
        return admission.AtMost(max(1, builds // workers))
    return admission.WhatFits(computer.capacity().divided(workers))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of builds: write 1 or more")
    return int(text)
