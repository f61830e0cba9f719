"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose state and cache are its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytester.path / "cache"))
    return Project(pytester)


@pytest.fixture
def collection_error(project: Project) -> Callable[[str], str]:
    """What pytest prints for a source that must not be collected."""

    def collect(source: str, name: str = "test_builds") -> str:
        project.write(source, name)
        result = project.run("--collect-only")
        assert result.ret != 0
        return result.stdout.str() + result.stderr.str()

    return collect
