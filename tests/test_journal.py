"""The journal survives what the run does not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from filelock import Timeout

from harness import reaper
from harness.journal import Journal, abandoned
from harness.model import Resource
from harness.sources.base import LOCAL_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A = Resource("instance", "a", "fake", "web.fake")
B = Resource("instance", "b", "fake", "db.fake")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(Journal(tmp_path / "run.jsonl")) as opened:
        yield opened


def test_outstanding_is_newest_first_and_by_build(journal: Journal) -> None:
    journal.intend(A)
    journal.intend(B)
    assert journal.outstanding() == [B, A]
    assert journal.outstanding("web.fake") == [A]
    journal.gone(B)
    assert journal.outstanding() == [A]


def test_what_is_written_is_on_disk_at_once(journal: Journal, tmp_path: Path) -> None:
    journal.intend(A)
    assert '"id": "a"' in (tmp_path / "run.jsonl").read_text()


def test_nothing_stays_of_a_journal_that_ends_empty(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.jsonl")
    journal.intend(A)
    journal.gone(A)
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_live_runs_journal_is_nobody_elses(journal: Journal, tmp_path: Path) -> None:
    journal.intend(A)
    assert list(abandoned(tmp_path)) == []
    with pytest.raises(Timeout):
        Journal(tmp_path / "run.jsonl")


def test_a_dead_runs_journal_tells_what_is_left_even_with_a_torn_last_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.jsonl")
    journal.intend(A)
    journal.intend(B)
    journal.gone(A)
    journal.close()
    with (tmp_path / "run.jsonl").open("a") as file:
        file.write('{"do": "intend", "ki')
    (found,) = abandoned(tmp_path)
    assert found.outstanding() == [B]
    found.close()
    assert [*reaper.find(tmp_path)] == [
        "left by a killed run: instance b of db.fake, run run",
    ]
    assert [*reaper.reap(tmp_path)] == [
        "left by a killed run, removed: instance b of db.fake, run run",
    ]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_stays_in_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.jsonl")
    journal.intend(Resource("thing", "x", "no-such-source", "web.x"))
    journal.intend(A)
    journal.close()
    lines = [*reaper.reap(tmp_path)]
    assert len(lines) == 2
    assert "removed: instance a" in lines[0]
    assert "could not be removed: thing x" in lines[1]
    assert "no source of type 'no-such-source' is installed; known are amazon-ebs, " in lines[1]
    (again,) = abandoned(tmp_path)
    assert [r.id for r in again.outstanding()] == ["x"]
    again.close()


def test_a_local_folder_is_removed_whatever_the_source(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "key").touch()
    with contextlib.closing(Journal(tmp_path / "run.jsonl")) as journal:
        journal.intend(Resource(LOCAL_FOLDER, str(folder), "qemu", "web.qemu"))
        journal.intend(Resource(LOCAL_FOLDER, str(tmp_path / "never made"), "fake", "web.fake"))
    assert [*reaper.reap(tmp_path)] == [
        f"left by a killed run, removed: local folder {folder} of web.qemu, run run"
    ]
    assert not folder.exists()
