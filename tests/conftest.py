"""What all tests share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from harness.cancel import CancelToken
from harness.events import Dispatcher, Event
from harness.journal import Journal
from harness.sources.base import Context
from tests.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose state and cache are its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytester.path / "cache"))
    with contextlib.closing(Project(pytester, monkeypatch)) as project:
        yield project


@pytest.fixture
def collection_error(project: Project) -> Callable[[str], str]:
    """What pytest prints for a source that must not be collected."""

    def collect(source: str, name: str = "test_builds") -> str:
        project.write(source, name)
        result = project.run("--collect-only")
        assert result.ret != 0
        return result.stdout.str() + result.stderr.str()

    return collect


@pytest.fixture
def events() -> list[Event]:
    """What has happened in the `context`."""
    return []


@pytest.fixture
def context(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Context]:
    """What a run gives a source; its cache is its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    journal = Journal(tmp_path / "run.jsonl")
    dispatcher = Dispatcher()
    dispatcher.subscribe(events.append)
    context = Context("web.qemu", "run", 0, tmp_path, tmp_path, journal, CancelToken(), dispatcher)
    yield context
    context.pins.close()
    journal.close()
