"""Every recipe boots, by its own boot loader too, and its image is taken."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# debian-12 is what the other tests build on. These two share a build, and boot in turn with their
# own loaders: one by BIOS, one by EFI.
BUILD = """
CODENAMES = {"debian-13": "trixie", "ubuntu-24.04": "noble"}

@harness.build(
    harness.Qemu(name="debian", base="debian-13", disk_size="3G", qemuargs=[["-boot", "order=c"]]),
    harness.Qemu(name="ubuntu", base="ubuntu-24.04", disk_size="3G", efi_boot=True),
)
def recipe(machine):
    machine.shell(f"echo {CODENAMES[machine.source.base]} >/etc/expected")

def test_the_release(recipe):
    assert recipe.system_info.codename == recipe.file("/etc/expected").content_string.strip()

def test_nothing_failed(recipe):
    state = recipe.check_output("systemctl is-system-running --wait || systemctl --failed")
    assert state == "running"

def test_the_loader_is_its_own(recipe):
    assert "BOOT_IMAGE" in recipe.file("/proc/cmdline").content_string
    by_efi = recipe.system_info.distribution == "ubuntu"
    assert recipe.file("/sys/firmware/efi").exists is by_efi

def test_the_disk_has_grown(recipe):
    assert int(recipe.check_output("df --output=size -BM / | tail -n 1").strip("M ")) > 2500

def test_packages_can_be_had(recipe):
    assert recipe.run("apt-get update").rc == 0
    assert recipe.run("apt-get -s install hello").rc == 0

def test_the_login_is_ours_alone(recipe):
    assert recipe.check_output("ls /etc/ssh/*_key") == "/etc/ssh/ssh_host_ed25519_key"
    assert recipe.check_output("cloud-init status || true") == "status: disabled"
"""


def test_recipes(vm_project: VmProject) -> None:
    vm_project.write(BUILD)
    result = vm_project.run()
    assert result.ret == 0
    assert vm_project.leftovers() == []
    for image in vm_project.images():
        subprocess.run(["qemu-img", "check", "-q", image], check=True)
