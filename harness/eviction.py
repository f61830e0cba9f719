"""The cache within its bound: what was used least recently goes first."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import cache, pins
from harness.cancel import CancelToken

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Entry:
    """Something in the cache, as it is now."""

    path: Path
    name: str
    """What a person knows it by."""
    size: int
    """Bytes on disk: of sparse files less than they seem to have."""
    used: float
    """When it was used last, in seconds since 1970."""
    in_use: bool
    whole: bool
    """False: it is being made, or its making was cut short."""

    @property
    def kind(self) -> str:
        return self.path.parent.name

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def entries() -> list[Entry]:
    """What is in the cache, the least recently used first."""
    found = []
    for path in pins.all_entries():
        with contextlib.suppress(FileNotFoundError):  # it has just been removed
            if pins.content(path):
                found.append(_entry(path))
    return sorted(found, key=lambda entry: entry.used)


def prune(bound: int) -> Iterator[Entry]:
    """Remove entries until the others have no more than so many bytes, and tell of each.

    Those in use stay, and those that another needs which stays.
    """
    # One at a time: of two, each would make room for the whole excess.
    with cache.locked(cache.directory() / "eviction", CancelToken()):
        _remove_empty()
        left = entries()
        while sum(entry.size for entry in left) > bound:
            # From the beginning each time: an entry that was needed may not be any more.
            removed = next((entry for entry in left if pins.discard(entry.path)), None)
            if removed is None:
                return
            left.remove(removed)
            yield removed


def clear() -> Iterator[Entry]:
    """Remove all that is not in use, and tell of each; and what images were made of."""
    shutil.rmtree(cache.directory() / cache.IMAGES, ignore_errors=True)
    return prune(-1)  # not 0, which entries that take no room are within


def _remove_empty() -> None:
    """Forget what failed to be made; else it would need other entries for ever."""
    for path in list(pins.all_entries()):
        if not pins.content(path):
            pins.discard(path)


def _entry(path: Path) -> Entry:
    size = sum(_size(part) for part in pins.parts(path))
    used, in_use = pins.used(path), pins.in_use(path)
    return Entry(path, pins.about(path).name, size, used, in_use, path.exists())


def _size(path: Path) -> int:
    size = 0
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    for file in (path, *files):
        with contextlib.suppress(FileNotFoundError):  # of what is being made
            size += file.lstat().st_blocks * 512
    return size
