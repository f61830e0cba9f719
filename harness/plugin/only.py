"""`harness.only`: tests that belong to some of the builds whose machines they could get.

For the other builds such a test does not exist: collection leaves it out before anybody counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import patterns
from harness.errors import ConfigurationError
from harness.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.definition import BuildDefinition

MARK = "only_builds"
SEEN = pytest.StashKey[dict[str, tuple[str, tuple[object, ...]]]]()
"""Each mark as it is shown, with the first test that has it and its arguments."""


def marked(item: pytest.Item) -> bool:
    return item.get_closest_marker(MARK) is not None


def belongs(item: pytest.Item, builds: Mapping[str, BuildDefinition]) -> bool:
    """Whether a test is one of the build's whose machine it would get.

    Args:
        item: as it was collected, for one source.
        builds: by the name of the fixture that is their machine.
    """
    given = [mark.args for mark in item.iter_markers(MARK)]
    for arguments in given:
        item.config.stash.setdefault(SEEN, {}).setdefault(repr(arguments), (item.nodeid, arguments))
    params = getattr(getattr(item, "callspec", None), "params", {})
    return all(
        patterns.match([str(a) for a in arguments], patterns.names(build, source.type))
        for arguments in given
        for fixture, source in params.items()
        if fixture in builds and isinstance(source, Source)
        if (build := builds[fixture].build_name(source))
    )


def check(config: pytest.Config, known: Iterable[str]) -> None:
    """Refuse marks that would never choose anything, once all names are known.

    Raises:
        UsageError: a sentence for each.
    """
    problems = []
    for nodeid, arguments in config.stash.get(SEEN, {}).values():
        try:
            patterns.check("harness.only", arguments, known)
        except ConfigurationError as error:
            problems.append(f"{nodeid}: {error}")
    if problems:
        raise pytest.UsageError(*problems)
