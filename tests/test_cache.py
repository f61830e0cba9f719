"""The cache makes a thing once, whole or not at all."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING

import pytest

from harness import cache
from harness.cancel import CancelToken
from harness.errors import CancelledError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_two_that_want_an_entry_at_once_make_it_once(tmp_path: Path) -> None:
    made = []

    def make(partial: Path) -> None:
        made.append(partial)
        time.sleep(0.3)
        partial.write_text("whole")

    def want() -> None:
        assert cache.entry(tmp_path / "x", CancelToken(), make).read_text() == "whole"

    threads = [threading.Thread(target=want) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_an_entry_that_failed_is_not_there(tmp_path: Path) -> None:
    def make(partial: Path) -> None:
        partial.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.entry(tmp_path / "x", CancelToken(), make)
    assert not (tmp_path / "x").exists()


def test_waiting_for_a_lock_ends_when_the_run_is_stopped(tmp_path: Path) -> None:
    cancel = CancelToken()
    with cache.locked(tmp_path / "x", CancelToken()):
        threading.Timer(0.2, cancel.cancel).start()
        with pytest.raises(CancelledError), cache.locked(tmp_path / "x", cancel):
            pass


def test_a_checksum_follows_the_file(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    for content in (b"one", b"other"):
        file.write_bytes(content)
        for _ in range(2):
            assert cache.known_digest(file, CancelToken()) == hashlib.sha256(content).hexdigest()


def test_a_verdict_is_recalled() -> None:
    assert cache.recall("kvm") is None
    for value in (False, True):
        cache.remember("kvm", value)
        assert cache.recall("kvm") is value
