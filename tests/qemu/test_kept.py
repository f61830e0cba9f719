"""A real machine that outlives its run: logged in to, then tested anew, and its image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness import eviction, kept
from harness.sources.qemu import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

BUILD = """
@harness.build(harness.Qemu())
def web(machine):
    machine.shell("echo built >/etc/built")

def test_that_is_mended_later(web): assert web.file("/etc/mended").exists or {mended}
def test_file(web): assert web.file("/etc/built").content_string == "built\\n"

@harness.sealed
def test_that_is_mended_too(web): assert web.file("/etc/mended").exists
"""


@pytest.fixture
def nothing_stays(vm_project: VmProject) -> Iterator[None]:
    yield
    for machine in kept.find(root=vm_project.path):
        processes.kill(str(vm_project.machines() / machine.run_id))


def harness(project: VmProject, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; exit(main())", *arguments],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("nothing_stays")
def test_a_machine_is_kept_and_becomes_the_image(vm_project: VmProject) -> None:
    vm_project.write(BUILD.format(mended=False))
    assert vm_project.run("--on-error=keep").ret == 1
    assert len(vm_project.pids("qemu-system")) == 1
    in_use = {entry.kind for entry in eviction.entries() if entry.in_use}
    assert "bases" in in_use, "the machine's disk needs it"

    login = harness(vm_project, "login", "web.qemu", "cat /etc/built; hostname")
    assert login.stdout.startswith("built\n"), login.stderr
    printed = vm_project.manifest()["web.qemu"]["kept"]
    again = subprocess.run(f"{printed} cat /etc/built", shell=True, check=True, capture_output=True)
    assert again.stdout == b"built\n"

    vm_project.write(BUILD.format(mended=True))
    result = vm_project.run("--attach=web.qemu")
    assert result.ret == 1, "it was sealed, and a test of the sealed machine fails"
    assert "test_that_is_mended_too" in vm_project.manifest()["web.qemu"]["reason"]
    assert harness(vm_project, "login", "web.qemu", "touch /etc/mended").returncode == 0

    result = vm_project.run("--attach=web.qemu")
    assert result.ret == 0
    entry = vm_project.manifest()["web.qemu"]
    assert entry["inputs"]["boot"] == "attached"
    assert (vm_project.path / entry["image"]["id"]).stat().st_size == entry["image"]["size"]
    assert vm_project.leftovers() == []
    assert kept.find(root=vm_project.path) == []


@pytest.mark.usefixtures("nothing_stays")
def test_a_kept_machine_may_have_died_and_is_removed(vm_project: VmProject) -> None:
    vm_project.write(BUILD.format(mended=False))
    assert vm_project.run("--on-error=keep").ret == 1
    (pid,) = vm_project.pids("qemu-system")
    os.kill(pid, signal.SIGKILL)
    result = vm_project.run("--attach=web.qemu", "-k", "provision")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*was kept, but does not run any more*"])
    assert vm_project.leftovers() == []

    assert vm_project.run("--on-error=keep").ret == 1
    assert harness(vm_project, "remove", "web.qemu").returncode == 0
    assert vm_project.leftovers() == []
    assert kept.find(root=vm_project.path) == []
