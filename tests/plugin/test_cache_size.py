"""A run that ends leaves the cache within its bound."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness import cache
from harness.cancel import CancelToken
from harness.pins import Pins

if TYPE_CHECKING:
    from pathlib import Path

    from tests.project import Project

BUILDS = """
@harness.build(FakeSource(), FakeSource(name="other"))
def web(machine): pass
def test_a(web): assert {test}
"""
REMOVED = "removed from the cache, which may have 1.0 MiB: states/{name}, {size} MiB"


def keep(name: str, mebibytes: int) -> Pins:
    user = Pins()

    def make(partial: Path) -> None:
        partial.write_bytes(os.urandom(mebibytes << 20))

    user.entry(cache.directory() / "states" / name, CancelToken(), make, name=name)
    return user


@pytest.mark.parametrize(
    ("options", "test", "status"),
    [([], True, 0), ([], False, 1), (["-n", "2"], True, 0)],
    ids=["passes", "fails", "workers"],
)
def test_a_run_prunes_and_says_so(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    test: bool,
    status: int,
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_SIZE", "1M")
    keep("old", 2).close()
    in_use = keep("in use", 3)
    project.write(BUILDS.format(test=test))
    result = project.run(*options)
    in_use.close()
    assert result.ret == status
    assert result.outlines.count(REMOVED.format(name="old", size="2.0")) == 1
    assert not (cache.directory() / "states" / "old").exists()
    assert (cache.directory() / "states" / "in use").exists()


def test_within_the_bound_nothing_is_said(project: Project) -> None:
    keep("old", 2).close()
    project.write(BUILDS.format(test=True))
    assert "removed from the cache" not in project.run().stdout.str()
    assert (cache.directory() / "states" / "old").exists()


def test_a_cache_that_cannot_be_pruned_fails_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_SIZE", "1M")
    keep("old", 2).close()
    project.write(BUILDS.format(test=True))
    (project.path / "conftest.py").write_text(
        "from harness import pins\n"
        "def fail(path): raise PermissionError(13, 'Permission denied', str(path))\n"
        "pins._remove = fail\n"
    )
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["the cache cannot be pruned: *Permission denied*"])
