"""`--only` and `--except`: which of the collected builds a session runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import patterns
from harness.plugin import only
from harness.plugin.after_image import AfterImageItem
from harness.plugin.collection import BUILDS
from harness.plugin.items import BUILD
from harness.sources import registry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from harness.plugin.collection import CollectedBuild


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "machine images")
    for option, does in (("--only", "run no builds but these"), ("--except", "leave out builds")):
        group.addoption(
            option,
            action="append",
            default=[],
            metavar="GLOB[,GLOB...]",
            help=f"{does}: by name (web.qemu), function, source type or source name"
            + (", or functions that follow images" if option == "--except" else ""),
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if session.testsfailed:
        return  # what could not be collected may well be what was asked for
    if only.SEEN in config.stash:
        only.check(config, known_names(config))
    options = {o: config.getoption(o) for o in ("--only", "--except", "--attach")}
    if not any(options.values()):
        return
    builds = config.stash.get(BUILDS, {})
    chosen = {option: _chosen(option, given, builds) for option, given in options.items()}
    wanted = set(builds) - chosen["--except"]
    for option in ("--only", "--attach"):
        wanted = wanted & chosen[option] if options[option] else wanted
    unwanted = [
        i
        for i in items
        if i.stash.get(BUILD, None) not in {None, *wanted} or _is_excepted(i, options["--except"])
    ]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [i for i in items if i not in set(unwanted)]


def known_names(config: pytest.Config) -> tuple[str, ...]:
    """What a pattern in a build function or a mark may mean.

    Names of all builds collected, selected or not, so that it means the same in every selection.
    """
    builds = config.stash.get(BUILDS, {}).values()
    return tuple({*registry.types(), *(name for b in builds for name in _names(b))})


def _chosen(option: str, given: Collection[str], builds: Mapping[str, CollectedBuild]) -> set[str]:
    """The builds that an option's patterns name.

    Raises:
        UsageError: one of them names none.
    """
    chosen = set()
    for pattern in _patterns(given):
        found = {b.name for b in builds.values() if patterns.match([pattern], _names(b))}
        # As in Packer, --except may mean what follows images.
        follows = option == "--except" and patterns.match([pattern], _followers(builds.values()))
        if not found and not follows:
            there_is = ", ".join(builds) or "none at all"
            raise pytest.UsageError(
                f"{option}={pattern}: there is no such build, source type or source name among "
                f"the builds collected: {there_is}"
            )
        chosen |= found
    return chosen


def _patterns(given: Iterable[str]) -> list[str]:
    return [pattern for text in given for pattern in text.split(",")]


def _followers(builds: Iterable[CollectedBuild]) -> list[str]:
    return [follower.name for build in builds for follower in build.definition.followers]


def _is_excepted(item: pytest.Item, given: Iterable[str]) -> bool:
    """Whether it follows an image, and `--except` names it."""
    if not isinstance(item, AfterImageItem):
        return False
    return patterns.match(_patterns(given), [item.follower.name])


def _names(build: CollectedBuild) -> tuple[str, ...]:
    return patterns.names(build.name, build.source.type)
