"""Projects that build on real virtual machines, and a look at what those leave behind."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness import cache
from tests.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Where it is before pytester gives each test a home of its own.
CACHE = cache.directory()


class VmProject(Project):
    """Its state is its own, the cache is the user's: the base is made once for all tests."""

    def qemu_processes(self) -> list[str]:
        listed = subprocess.run(
            ["ps", "-axo", "args="], capture_output=True, text=True, check=True
        ).stdout
        return [line for line in listed.splitlines() if str(CACHE / "machines") in line]

    def leftovers(self) -> list[str]:
        """Everything that a build makes and must not leave."""
        left: list[Path] = [
            *self.path.glob("state/pytest-image-harness/journal/*"),
            *(CACHE / "machines").glob("*"),
            *(CACHE / "bases").glob("*.work-*"),
            *self.path.glob("images/.*"),
        ]
        return [str(path) for path in left] + self.qemu_processes()

    def images(self) -> list[Path]:
        return sorted(self.path.glob("images/*"))


@pytest.fixture
def vm_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[VmProject]:
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE.parent))
    project = VmProject(pytester)
    yield project
    for image in project.images():  # half a gigabyte each
        with contextlib.suppress(FileNotFoundError):
            image.unlink()
