"""Every recipe boots, by its own boot loader too, and its image is taken."""

from __future__ import annotations

import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

UBUNTU_RELEASE = "http://archive.ubuntu.com/ubuntu/dists/noble/InRelease"

# debian-12 is what the other tests build on. These boot with their own loaders, one by BIOS, one by
# EFI; ubuntu-24.04 only where its archive answers.
DEBIAN = 'harness.Qemu(base="debian-13", disk_size="3G", qemuargs=[["-boot", "order=c"]])'
UBUNTU = 'harness.Qemu(base="ubuntu-24.04", disk_size="3G", efi_boot=True)'

TESTS = """
CODENAMES = {"debian-13": "trixie", "ubuntu-24.04": "noble"}

@harness.build(SOURCE)
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


@pytest.mark.parametrize("source", [DEBIAN, UBUNTU], ids=["debian-13", "ubuntu-24.04"])
def test_a_recipe(vm_project: VmProject, source: str) -> None:
    if source == UBUNTU and not answers(UBUNTU_RELEASE):
        pytest.skip(f"{UBUNTU_RELEASE} does not answer")
    vm_project.write(f"SOURCE = {source}\n{TESTS}")
    result = vm_project.run()
    assert result.ret == 0
    assert vm_project.leftovers() == []
    for image in vm_project.images():
        subprocess.run(["qemu-img", "check", "-q", image], check=True)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except OSError:
        return False
