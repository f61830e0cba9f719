"""The sources that exist: one line each here, or an entry point of another package."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Resource
    from harness.sources.base import Source

GROUP = "harness.sources"

OURS = {
    "amazon-ebs": "harness.sources.amazon.ebs:AmazonEbs",
    "qemu": "harness.sources.qemu:Qemu",
    "fake": "harness.testing:FakeSource",
}
OTHERS = {"local": "harness.local_call:LocalProcesses"}
"""What else the journal names."""


class Remover(Protocol):
    """Removes a resource, and says whether it was there; every source can."""

    def discard(self, resource: Resource) -> bool: ...


def remover(type_name: str) -> Remover:
    """Who removes the resources of a source type, for work that has no source at hand.

    Raises:
        ConfigurationError: nothing installed knows the type.
    """
    found: Remover = _load(type_name, {**OURS, **OTHERS})
    return found


def source(type_name: str) -> type[Source]:
    """The class of a source type.

    Raises:
        ConfigurationError: nothing installed knows the type.
    """
    found: type[Source] = _load(type_name, OURS)
    return found


def _load(type_name: str, ours: Mapping[str, str]) -> Any:
    if place := ours.get(type_name):
        module, _, name = place.partition(":")
        return getattr(importlib.import_module(module), name)
    for entry in entry_points(group=GROUP, name=type_name):
        return entry.load()
    raise ConfigurationError(
        f"no source of type {type_name!r} is installed; known are {', '.join(types())}"
    )


def types() -> list[str]:
    """The types of source that exist."""
    return sorted({*OURS, *(entry.name for entry in entry_points(group=GROUP))})
