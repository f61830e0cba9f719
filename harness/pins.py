"""What is in use of the cache: an entry that somebody has pinned is not removed.

Beside each entry lies its marker, ``<name>.users``. Whoever needs the entry holds a shared lock on
the marker, which programs may inherit (QEMU does, and may outlive us); whoever removes the entry
holds it alone. The marker's time is that of the last use. It says what a person knows the entry by,
and which other entries it cannot do without: they stay as long as it does.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO

from harness import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.cancel import CancelToken

_MARKER, _LOCK, _GONE = ".users", ".lock", ".gone"
_BESIDE = (_MARKER, _LOCK, _GONE, ".partial*", ".work-*")


@dataclass(frozen=True)
class About:
    """What a marker says: the entry's name for people, and the entries that it needs."""

    name: str
    needs: Sequence[str] = ()
    """As in ``bases/debian-12-0123456789abcdef``."""


class Pins:
    """What one build uses of the cache, until `close`."""

    def __init__(self) -> None:
        self._markers: list[tuple[Path, BinaryIO]] = []

    def entry(
        self,
        path: Path,
        cancel: CancelToken,
        make: Callable[[Path], None],
        *,
        name: str,
        needs: Sequence[Path] = (),
    ) -> Path:
        """The entry at ``path``, pinned; made as `cache.entry` does if it is not there.

        Args:
            path: ``cache.directory() / <kind> / <name>``; a new kind needs nothing else.
            cancel: ends waiting for another that makes it.
            make: gets the path to write.
            name: what `harness cache list` calls it.
            needs: files that it cannot do without, such as a disk's backing file; entries of the
                cache that have them are pinned too, and are not removed before it.
        """
        for file in needs:
            self.keep(file)
        marker = self._pin(path)

        def described(partial: Path) -> None:
            needed = sorted({entry for file in needs if (entry := _entry(file))})
            marker.truncate(0)
            marker.write(json.dumps(asdict(About(name, needed))).encode())
            marker.flush()
            make(partial)

        return cache.entry(path, cancel, described)

    def keep(self, file: Path) -> None:
        """Pin the entry that has a file, if one has."""
        if (entry := _entry(file)) and (path := cache.directory() / entry) not in self.paths:
            self._pin(path)

    @property
    def paths(self) -> list[Path]:
        """The entries."""
        return [path for path, _ in self._markers]

    @property
    def descriptors(self) -> list[int]:
        """A program that inherits these pins the entries as long as it runs."""
        return [marker.fileno() for _, marker in self._markers]

    def release(self, path: Path) -> None:
        """Pin an entry no longer."""
        for pinned, marker in self._markers:
            if pinned == path:
                marker.close()
        self._markers = [(p, marker) for p, marker in self._markers if not marker.closed]

    def close(self) -> None:
        """Pin nothing any more."""
        for path in self.paths:
            self.release(path)

    def _pin(self, path: Path) -> BinaryIO:
        path.parent.mkdir(parents=True, exist_ok=True)
        marker = _locked(path, fcntl.LOCK_SH)
        self._markers.append((path, marker))
        os.utime(marker.fileno())
        return marker


def all_entries() -> Iterator[Path]:
    """Everything that has ever been pinned and is not removed; it may not be whole, or not yet."""
    for marker in cache.directory().glob(f"*/*{_MARKER}"):
        yield marker.with_name(marker.name.removesuffix(_MARKER))


def about(path: Path) -> About:
    """What an entry's marker says."""
    try:
        return About(**json.loads(_marker(path).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):  # gone, about to be written, or not ours
        return About(path.name)


def used(path: Path) -> float:
    """When an entry was last used, in seconds since 1970."""
    return _marker(path).stat().st_mtime


def in_use(path: Path) -> bool:
    """Whether any process has pinned an entry."""
    try:
        _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB).close()
    except BlockingIOError:
        return True
    return False


def parts(path: Path) -> list[Path]:
    """All that is there of an entry: itself, what is unfinished of it, its marker and lock."""
    name = glob.escape(path.name)
    beside = [part for end in _BESIDE for part in path.parent.glob(name + end)]
    return [path, *beside] if path.exists() else beside


def content(path: Path) -> list[Path]:
    """The same without marker and lock; empty: it failed to be made, or is about to be."""
    return [part for part in parts(path) if part.suffix not in (_MARKER, _LOCK)]


def discard(path: Path) -> bool:
    """Remove an entry, unless it is in use or another needs it."""
    try:
        marker = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    with marker:  # nobody makes it now, since who does has pinned it
        others = [about(other) for other in all_entries() if other != path]
        if any(_entry(path) in other.needs for other in others):
            return False
        gone = path.with_name(path.name + _GONE)
        _remove(gone)
        if path.exists():
            path.rename(gone)  # in one step: half an entry would be taken for a whole one
        for part in parts(path):
            if part != _marker(path):
                _remove(part)
        _marker(path).unlink()
        return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _marker(path: Path) -> Path:
    return path.with_name(path.name + _MARKER)


def _locked(path: Path, operation: int) -> BinaryIO:
    """An entry's marker, opened and locked.

    Raises:
        BlockingIOError: others have locked it.
    """
    while True:
        marker = _marker(path).open("a+b")
        try:
            fcntl.flock(marker, operation)
            if _is(marker, _marker(path)):
                return marker
        except BaseException:
            marker.close()
            raise
        marker.close()  # who had locked it has removed it


def _is(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _entry(file: Path) -> str | None:
    """The entry that has a file; None: it is not in the cache."""
    directory = cache.directory().resolve()
    file = file.resolve()
    if not file.is_relative_to(directory):
        return None
    return "/".join(file.relative_to(directory).parts[:2])
