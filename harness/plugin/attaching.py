"""`--on-error=keep` and `--attach`: a machine that outlives its run, and the run that takes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import kept

if TYPE_CHECKING:
    from harness.kept import Kept
    from harness.plugin.collection import CollectedBuild


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "machine images")
    group.addoption(
        "--on-error",
        choices=("cleanup", "keep"),
        help="what becomes of the machine of a build that fails: removed (cleanup, the default), "
        "or kept for harness login, --attach and harness remove",
    )
    group.addoption(
        "--attach",
        action="append",
        default=[],
        metavar="BUILD",
        help="run this build on the machine that an earlier run kept: repeat what is new or "
        "changed of its provisioning, then run its tests; kept again unless its image is taken",
    )


def keeps(config: pytest.Config) -> bool:
    """Whether machines of builds that fail are kept."""
    asked = config.getoption("on_error")
    return asked == "keep" or (asked is None and bool(config.getoption("attach")))


def attached(config: pytest.Config, build: CollectedBuild) -> Kept | None:
    """The machine that a build is to take; None: a new one.

    Raises:
        UsageError: there is none, or it is another than the source asks for now.
    """
    if not config.getoption("attach"):
        return None
    here = kept.find(root=config.rootpath)
    found = next((k for k in here if k.build == build.name), None)
    if found is None:
        names = ", ".join(dict.fromkeys(k.build for k in here)) or "none"
        raise pytest.UsageError(
            f"--attach={build.name}: no machine of that build was kept here (there is: {names}); "
            "--on-error=keep keeps the machines of builds that fail"
        )
    now = build.source.options()
    if changed := sorted(k for k in now if found.options.get(k) != _as_json(now[k])):
        raise pytest.UsageError(
            f"--attach={build.name}: {', '.join(changed)} of the source has changed since the "
            f"machine was kept: harness remove {build.name}, and build anew"
        )
    return found


def _as_json(value: object) -> object:
    return json.loads(json.dumps(value))
