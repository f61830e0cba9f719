"""The environment that programs get which a build's thread starts."""

from __future__ import annotations

import os

_ANOTHERS = "PYTEST_CURRENT_TEST"
"""Of whatever test runs in the main thread meanwhile."""


def snapshot() -> dict[str, str]:
    """This process's environment variables; hand it to every program that is started.

    pytest changes a variable before and after each phase of a test, in the main thread. A program
    that is started without an environment of its own reads them at that very moment: the start
    fails now and then with "Bad address". For the same reason no iteration of ``os.environ`` that
    looks up its names later will do.
    """
    found = {name: os.environ.get(name) for name in list(os.environ)}
    return {n: value for n, value in found.items() if value is not None and n != _ANOTHERS}
