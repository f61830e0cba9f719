"""Files from elsewhere, verified and kept in the cache, so that each is fetched once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import cache, urls
from harness.checksum import Checksum
from harness.errors import SourceError
from harness.events import Notice
from harness.progress import Reporter

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sources.base import Context

_DAY = 24 * 3600
KEEP_PARTIAL_SECONDS = 7 * _DAY
"""How long the beginning of a file waits for a run that fetches the rest."""
KEEP_SECONDS = 60 * _DAY
"""How long a file is kept that no build has started from."""


@dataclass(frozen=True)
class Download:
    """A file that each of several URLs has, and what it must be; None: nothing vouches for it."""

    urls: tuple[str, ...]
    checksum: Checksum | None

    def path(self, context: Context) -> Path:
        """The file in the cache, fetched first if it is not there.

        One without a checksum is fetched again once its server says that it has changed.

        Raises:
            SourceError: it cannot be had, it is not what it must be, or the disk is full.
        """
        directory = cache.directory() / "downloads"
        _remove_unused(directory)
        path = directory / self._name(context)
        cache.entry(path, context.cancel, lambda partial: self._make(partial, context))
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        return path

    def _name(self, context: Context) -> str:
        if self.checksum is not None:
            return f"{self.checksum.algorithm}-{self.checksum.digits}"
        from harness import fetch

        version = f"{self.urls} {fetch.version(self.urls, context.cancel)}"
        return f"unverified-{hashlib.sha256(version.encode()).hexdigest()}"

    def _make(self, partial: Path, context: Context) -> None:
        from harness import fetch

        report = _Reporter(context, f"downloading {urls.shown(self.urls[0])}")
        if self.checksum is None:  # nothing could tell whether a part that is there fits
            partial.unlink(missing_ok=True)
        in_parts = fetch.fetch(self.urls, partial, context.cancel, report)
        if self._mismatch(partial, context) and in_parts:
            report.say("its parts do not make up the right file: beginning anew")
            partial.unlink()
            fetch.fetch(self.urls, partial, context.cancel, report)
        if mismatch := self._mismatch(partial, context):
            partial.unlink()
            raise SourceError(mismatch)
        with partial.open("rb") as file:
            os.fsync(file.fileno())

    def _mismatch(self, path: Path, context: Context) -> str:
        """How the file differs from what it must be; empty: it does not."""
        expected = self.checksum
        if expected is None:
            return ""
        found = Checksum(expected.algorithm, cache.digest(path, context.cancel, expected.algorithm))
        if found == expected:
            return ""
        return (
            f"{urls.shown(self.urls[0])} is not the file that was expected, and was removed:\n"
            f"  expected {expected}\n  received {found}"
        )


class _Reporter(Reporter):
    """Tells of a download when it begins, too."""

    def __init__(self, context: Context, what: str) -> None:
        super().__init__(context.events, context.build, what)
        self._events.emit(Notice(self._build, what))

    def say(self, text: str) -> None:
        self._events.emit(Notice(self._build, f"{self._what}: {text}"))


def _remove_unused(directory: Path) -> None:
    """Remove what has been of no use for long; a machine that still runs on one keeps it open."""
    now = time.time()
    for path in directory.glob("*-*"):
        if path.suffix == ".lock":
            continue
        with contextlib.suppress(FileNotFoundError):  # another run was quicker
            status = path.stat()
            age = now - max(status.st_atime, status.st_mtime)
            if age > (KEEP_PARTIAL_SECONDS if path.suffix == ".partial" else KEEP_SECONDS):
                path.unlink()
