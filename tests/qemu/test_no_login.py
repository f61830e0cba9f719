"""Machines that nobody will ever get into, and how soon and how well that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.qemu.disk_image import write_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# Side by side; each would be waited for far longer than the test may take. One boots to be saved.
BUILDS = """
@harness.build(harness.Qemu(memory=80, cpus=1, ssh_timeout=3600))
def small(machine): pass

@harness.build(harness.Qemu(base="broken.raw", cpus=1, ssh_timeout=3600, warm_boot=False))
def broken(machine): pass

def test_small(small): pass
def test_broken(broken): pass
"""


def test_a_hopeless_boot_ends_the_wait_at_once(vm_project: VmProject, cached_base: Path) -> None:
    base = vm_project.path / "broken.raw"
    vm_project.pytester.run("qemu-img", "convert", "-O", "raw", str(cached_base), str(base))
    write_files(base, {"/usr/bin/cloud-init": "#!/bin/sh\nexit 1\n"})
    vm_project.write(BUILDS)
    result = vm_project.run()
    assert result.ret == 1
    for build, stage, why in (
        ("small.qemu", "boot", "its kernel panicked: *memory*"),
        ("broken.qemu", "connect", "cloud-init failed: Failed to start cloud-init*"),
    ):
        result.stdout.fnmatch_lines(
            [
                f"{build}: {stage} failed",
                f"ssh root@127.0.0.1:*: {why} (after * s; before: *)",
                "console, last 20 of * lines:",
                f"log: reports/{build}/build.log",
            ]
        )
        console = vm_project.path / "reports" / build / "console.log"
        assert "Linux version" in console.read_text()
    assert vm_project.leftovers() == []


def test_a_machine_that_is_too_slow_for_its_deadline(vm_project: VmProject) -> None:
    vm_project.write(
        """
@harness.build(harness.Qemu(warm_boot=False, ssh_timeout=5))
def slow(machine): pass

def test_slow(slow): pass
"""
    )
    result = vm_project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "slow.qemu: connect failed",
            "ssh root@127.0.0.1:*: no login after 5 s: *",
            "its console printed * s ago, so it was still booting: a slow machine needs a larger "
            "ssh_timeout than 5",
            "console, last 20 of * lines:",
        ]
    )
    assert vm_project.leftovers() == []
