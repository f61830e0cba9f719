"""`--only` and `--except`: which of the collected builds a session runs."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

import pytest

from harness.definition import source_name
from harness.plugin.collection import BUILDS
from harness.plugin.items import BUILD

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.plugin.collection import CollectedBuild


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "machine images")
    for option, does in (("--only", "run no builds but these"), ("--except", "leave out builds")):
        group.addoption(
            option,
            action="append",
            default=[],
            metavar="GLOB[,GLOB...]",
            help=f"{does}: by name (web.qemu), function, source type or source name",
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if session.testsfailed:
        return  # what could not be collected may well be what was asked for
    options = {o: config.getoption(o) for o in ("--only", "--except", "--attach")}
    if not any(options.values()):
        return
    builds = config.stash.get(BUILDS, {})
    chosen = {option: _chosen(option, given, builds) for option, given in options.items()}
    wanted = set(builds) - chosen["--except"]
    for option in ("--only", "--attach"):
        wanted = wanted & chosen[option] if options[option] else wanted
    unwanted = [i for i in items if i.stash.get(BUILD, None) not in {None, *wanted}]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [i for i in items if i not in set(unwanted)]


def _chosen(option: str, given: Collection[str], builds: Mapping[str, CollectedBuild]) -> set[str]:
    """The builds that an option's patterns name.

    Raises:
        UsageError: one of them names none.
    """
    chosen = set()
    for pattern in [p for text in given for p in text.split(",")]:
        found = {b.name for b in builds.values() if _is_named(b, pattern)}
        if not found:
            there_is = ", ".join(builds) or "none at all"
            raise pytest.UsageError(
                f"{option}={pattern}: there is no such build, source type or source name among "
                f"the builds collected: {there_is}"
            )
        chosen |= found
    return chosen


def _is_named(build: CollectedBuild, pattern: str) -> bool:
    source = build.source
    names = (build.name, build.definition.name, source.type, source_name(source))
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)
