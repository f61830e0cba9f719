"""The harness's own options of the pytest command, and the project's settings."""

from __future__ import annotations

import argparse
import os
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
        "--fresh",
        "--no-cache",
        action="store_true",
        default=None,
        help="provision every machine from its first call; no checkpoint is used or made. The "
        "default where CI is set",
    )
    group.addoption(
        "--no-fresh",
        dest="fresh",
        action="store_false",
        help="resume machines from checkpoints of their provisioning, as is the default elsewhere",
    )
    group.addoption(
        "--skip-unchanged",
        action="store_true",
        help="leave out a build whose image is there, was made of the same inputs (source, base, "
        "provisioning, code of the tests) and is not too old",
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
    from harness import admission
    from harness.plugin import shares

    builds: int | None = config.getoption("parallel_builds")
    if builds is not None:
        return admission.AtMost(shares.builds(config, builds))
    return admission.WhatFits(shares.capacity(config))


def checkpoint_age(config: pytest.Config) -> float:
    """How old a checkpoint may be that is used, in seconds; 0: none is."""
    asked: bool | None = config.getoption("fresh")
    fresh = bool(os.environ.get("CI")) if asked is None else asked
    return 0.0 if fresh else config.stash[SETTINGS].checkpoint_max_age


def image_age(config: pytest.Config) -> float:
    """How old an image may be that is taken for up to date, in seconds; 0: none is."""
    return config.stash[SETTINGS].image_max_age if config.getoption("skip_unchanged") else 0.0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of builds: write 1 or more")
    return int(text)
