"""What a killed run left behind → gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import kept
from harness.journal import abandoned
from harness.sources import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.journal import Journal
    from harness.kept import Kept
    from harness.model import Resource


def find(where: Path) -> Iterator[str]:
    """Tell what dead runs left, a line each."""
    for journal in abandoned(where):
        try:
            for resource in journal.outstanding():
                yield f"left by a killed run: {_describe(resource, journal)}"
        finally:
            journal.close()


def reap(where: Path) -> Iterator[str]:
    """Remove what dead runs left, and tell of each thing in a line.

    What cannot be removed stays in its journal, so that the next run tries again.
    """
    for journal in abandoned(where):
        try:
            yield from _reap(journal)
        finally:
            journal.close()


def _reap(journal: Journal) -> Iterator[str]:
    for resource in journal.outstanding():
        what = _describe(resource, journal)
        try:
            existed = registry.remover(resource.source_type).discard(resource)
            journal.gone(resource)
        except Exception as error:  # noqa: BLE001 - one that stays must not keep the others
            yield f"left by a killed run, could not be removed: {what}: {error}"
        else:
            if existed:
                yield f"left by a killed run, removed: {what}"


def _describe(resource: Resource, journal: Journal) -> str:
    return f"{resource.kind} {resource.id} of {resource.build}, run {journal.run_id}"


def remove(machine: Kept) -> Iterator[str]:
    """Remove a machine that was kept, and tell of each thing in a line.

    Raises:
        HarnessError: something cannot be removed; the machine is still noted.
    """
    for resource in machine.resources:
        registry.remover(resource.source_type).discard(resource)
        yield f"removed: {resource.kind} {resource.id} of {resource.build}"
    kept.forget(machine)
