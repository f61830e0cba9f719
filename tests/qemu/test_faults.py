"""Disks that are full and file systems that are read-only: one clear sentence, and nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.qemu.conftest import CACHE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

BUILD = """
@harness.build(harness.Qemu())
def web(machine): machine.shell({script!r})

def test_x(web): assert web.file("/etc").is_directory
"""

# A namespace of its own, in which a small file system lies over a folder.
UNSHARE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
MOUNT = """
folder=$1
mkdir -p "$1" && mount -t tmpfs -o size="$2" none "$1" && shift 2 || exit
"$@" && status=0 || status=$?
find "$folder" -exec echo left: {} ";"
exit $status
"""


def run_on_a_small_disk(project: VmProject, folder: Path, size: str) -> pytest.RunResult:
    within = [*UNSHARE, "sh", "-c", MOUNT, "sh", str(folder), size]
    if subprocess.run([*within, "true"], check=False).returncode:
        pytest.skip("this user may not mount a file system in a namespace of its own")
    return project.pytester.run(*within, sys.executable, "-m", "pytest", "-v")


def check(project: VmProject, result: pytest.RunResult, stage: str, *said: str) -> None:
    output = result.stdout.str()
    assert result.ret == 1, output
    for text in said:
        assert text in output
    entry = project.manifest()["web.qemu"]
    assert entry["image"] is None
    assert f"web.qemu: {stage} failed" in output
    assert project.leftovers() == []
    assert project.images() == []


def test_the_disk_of_machines_fills_up(vm_project: VmProject) -> None:
    vm_project.write(BUILD.format(script="head -c 300M /dev/urandom >/big; sync; echo written"))
    result = run_on_a_small_disk(vm_project, vm_project.machines(), "100M")
    check(
        vm_project,
        result,
        "provision",
        "QEMU stopped the machine, whose disk is in ",
        "No space left on device",
    )


def test_the_disk_of_bases_is_too_small(vm_project: VmProject) -> None:
    """No machine comes of it; but a base is made, by the programs that make real ones."""
    vm_project.write(BUILD.format(script="true"))
    bases = CACHE / "bases"
    result = run_on_a_small_disk(vm_project, bases, "60M")
    check(
        vm_project,
        result,
        "boot",
        f"could not be made: the disk is too small. 3 GiB are needed in {bases} while",
        "No space left on device",
    )
    left = [line for line in result.outlines if line.startswith(f"left: {bases}/")]
    assert [line for line in left if not line.endswith((".lock", ".users"))] == []
    assert left, "the lock shows that the disk was looked at"


def test_the_disk_of_images_is_full(vm_project: VmProject) -> None:
    vm_project.write(BUILD.format(script="true"))
    result = run_on_a_small_disk(vm_project, vm_project.path / "images", "100M")
    check(vm_project, result, "capture", "qemu-img convert", "No space left on device")


def test_a_guest_that_can_write_nothing(vm_project: VmProject) -> None:
    vm_project.write(BUILD.format(script="echo u >/proc/sysrq-trigger; sleep 2; touch /etc/x"))
    result = vm_project.run()
    check(vm_project, result, "provision", "touch: cannot touch '/etc/x': Read-only file system")


def test_a_guest_that_cannot_be_sealed(vm_project: VmProject) -> None:
    vm_project.write(BUILD.format(script="echo u >/proc/sysrq-trigger; sleep 2"))
    result = vm_project.run()
    check(vm_project, result, "seal", "seal failed", "Read-only file system")
