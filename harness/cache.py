"""What is dear to make and the same for every run, on disk: made once, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import platformdirs
from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.cancel import CancelToken

IMAGES = "images"
"""The folder of notes on what images were made of: small ones, which the bound leaves alone."""


def directory() -> Path:
    """The cache: the platform's cache directory (``XDG_CACHE_HOME`` on Linux)."""
    return platformdirs.user_cache_path("pytest-image-harness")


@contextlib.contextmanager
def locked(path: Path, cancel: CancelToken) -> Iterator[None]:
    """Hold the lock of a cache entry, against other threads and other processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"), thread_local=False)
    while True:
        cancel.check()
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            continue
        break
    try:
        yield
    finally:
        lock.release()


def entry(path: Path, cancel: CancelToken, make: Callable[[Path], None]) -> Path:
    """The entry at ``path``, made by ``make`` if it is not there.

    Of two that want it at once, one makes it and the other waits. ``make`` gets the path to write;
    what it leaves there takes its place in one step. A file that an earlier one left unfinished is
    still there, a folder is not.
    """
    if not path.exists():
        with locked(path, cancel):
            if not path.exists():
                partial = path.with_name(f"{path.name}.partial")
                if partial.is_dir():
                    shutil.rmtree(partial)
                make(partial)
                partial.replace(path)
    return path


def known_digest(path: Path, cancel: CancelToken, algorithm: str = "sha256") -> str:
    """A file's digest in hex, computed once for each state of the file."""
    status = path.stat()
    state = [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino]
    name = hashlib.sha256(json.dumps(state).encode()).hexdigest()

    def compute(partial: Path) -> None:
        partial.write_text(digest(path, cancel, algorithm))

    return entry(directory() / "digests" / f"{name}.{algorithm}", cancel, compute).read_text()


def digest(path: Path, cancel: CancelToken, algorithm: str = "sha256") -> str:
    """A file's digest in hex."""
    state = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(4 << 20):
            cancel.check()
            state.update(chunk)
    return state.hexdigest()


def remember(name: str, value: Any) -> None:
    """Keep a small verdict about this host."""
    path = directory() / "verdicts" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value))
    partial.replace(path)


def recall(name: str) -> Any:
    """What `remember` kept; None: nothing."""
    try:
        return json.loads((directory() / "verdicts" / f"{name}.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
