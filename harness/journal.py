"""The write-ahead log of everything that a run creates anywhere.

A resource is written down (and synced to disk) before it is made and again when it is gone, so
that whatever kills the run, the next one knows what to look for. A journal is locked while its
run lives; one that nobody holds and that still names resources belongs to a run that was killed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock, Timeout

from harness.model import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def directory() -> Path:
    """Where journals are kept: the platform's state directory (``XDG_STATE_HOME`` on Linux)."""
    return platformdirs.user_state_path("pytest-image-harness") / "journal"


class Journal:
    """One run's journal; opened before anything is created, closed when all is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(_lock_path(path))
        self._lock.acquire(timeout=0)
        self._file = path.open("a", encoding="utf-8")
        self._outstanding = list(_read(path))
        self._threads = threading.Lock()

    @property
    def run_id(self) -> str:
        return self.path.stem

    def intend(self, resource: Resource) -> None:
        """Write down a resource that is about to be made."""
        self._append("intend", resource)
        self._outstanding.append(resource)

    def gone(self, resource: Resource) -> None:
        """Write down that a resource does not exist (any more)."""
        self._append("gone", resource)
        self._outstanding.remove(resource)

    def outstanding(self, build: str | None = None) -> list[Resource]:
        """What may still exist, newest first: the order in which to remove it."""
        return [r for r in reversed(self._outstanding) if build in (None, r.build)]

    def close(self) -> None:
        """Unlock; the file goes when nothing is outstanding."""
        self._file.close()
        if not self._outstanding:
            self.path.unlink(missing_ok=True)
            _lock_path(self.path).unlink(missing_ok=True)
        self._lock.release()

    def _append(self, verb: str, resource: Resource) -> None:
        line = json.dumps({"do": verb, **dataclasses.asdict(resource)})
        with self._threads:
            self._file.write(line + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())


def abandoned(where: Path) -> Iterator[Journal]:
    """The journals of runs that are dead, locked for the caller, who closes each."""
    for path in sorted(where.glob("*.jsonl")):
        try:
            yield Journal(path)
        except (Timeout, FileNotFoundError):
            continue  # its run lives, or another run has just cleaned up after it


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _read(path: Path) -> list[Resource]:
    resources: list[Resource] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # the run was killed in the middle of this line: nothing was made yet
        verb = record.pop("do")
        resource = Resource(**record)
        if verb == "intend":
            resources.append(resource)
        elif resource in resources:
            resources.remove(resource)
    return resources
