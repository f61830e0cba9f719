"""Projects that build on real virtual machines, and a look at what those leave behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import cache
from harness.sources.qemu import recipe_bases, recipes
from tests.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where it is before pytester gives each test a home of its own.
CACHE = cache.directory()


class VmProject(Project):
    """Its state is its own, the cache is the user's: the base is made once for all tests.

    It leaves no checkpoints there, unless a run asks for them (``--no-fresh``).
    """

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(pytester, monkeypatch)
        monkeypatch.setenv("PYTEST_ADDOPTS", f"{os.environ['PYTEST_ADDOPTS']} --fresh")

    def machines(self) -> Path:
        """Where each machine has its files while it lives."""
        return CACHE / "machines"

    def pids(self, program: str) -> list[int]:
        """Of the program's processes that use our cache."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has just ended
                command = entry.read_bytes().decode(errors="replace")
                if program in command and str(CACHE) in command:
                    found.append(int(entry.parent.name))
        return found

    def qemu_processes(self) -> list[str]:
        return [f"process {pid}" for name in ("qemu-system", "qemu-img") for pid in self.pids(name)]

    def leftovers(self) -> list[str]:
        """Everything that a build makes and must not leave."""
        left: list[Path] = [
            *self.path.glob("state/pytest-image-harness/journal/*"),
            *self.machines().glob("*"),
            *CACHE.glob("*/*.work-*"),
            *self.path.glob("images/.*"),
        ]
        return [str(path) for path in left] + self.qemu_processes()

    def images(self) -> list[Path]:
        return sorted(self.path.glob("images/*"))


@pytest.fixture
def vm_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[VmProject]:
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE.parent))
    project = VmProject(pytester, monkeypatch)
    yield project
    project.close()
    for image in project.images():  # half a gigabyte each
        with contextlib.suppress(FileNotFoundError):
            image.unlink()


@pytest.fixture
def cached_base(vm_project: VmProject) -> Path:
    """The recipe's disk, which an earlier test may not have made yet."""
    where = recipe_bases.directory(recipes.RECIPES["debian-12"])
    if not where.exists():
        vm_project.write(
            "@harness.build(harness.Qemu())\ndef b(machine): pass\ndef test_b(b): pass\n"
        )
        assert vm_project.run("-k", "provision").ret == 0
    return where / "disk.qcow2"
