"""Files from elsewhere, verified and kept in the cache, so that each is fetched once."""

from __future__ import annotations

import functools
import hashlib
import os
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
        path = cache.directory() / "downloads" / self._name(context)
        name = urls.shown(self.urls[0])
        make = functools.partial(self._make, context=context)
        return context.pins.entry(path, context.cancel, make, name=name)

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
