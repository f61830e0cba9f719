"""The sources that exist: one line each here, or an entry point of another package."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from harness.sources.base import Source

GROUP = "harness.sources"

OURS = {
    "qemu": "harness.sources.qemu:Qemu",
    "fake": "harness.testing:FakeSource",
}


def source_class(type_name: str) -> type[Source]:
    """The class of a source's type, for work that has no source at hand.

    Raises:
        ConfigurationError: nothing installed knows the type.
    """
    if type_name in OURS:
        module, _, name = OURS[type_name].partition(":")
        found: type[Source] = getattr(importlib.import_module(module), name)
        return found
    for entry in entry_points(group=GROUP, name=type_name):
        loaded: type[Source] = entry.load()
        return loaded
    raise ConfigurationError(
        f"no source of type {type_name!r} is installed; known are "
        f"{', '.join(sorted({*OURS, *(e.name for e in entry_points(group=GROUP))}))}"
    )
