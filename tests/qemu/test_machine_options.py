"""What a source's options make of a real machine, most of them at once."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# With efi_boot the guest starts by its own boot loader, so that this shows the EFI one, too.
BUILD = """
import subprocess

@harness.build(harness.Qemu(
    image_name="odd",
    efi_boot=True,
    headless=False,
    cpu_model="Nehalem",
    net_device="virtio-net-pci-non-transitional",
    disk_interface="virtio-scsi",
    disk_cache="writeback",
    disk_additional_size=["64M", "1M"],
    disk_compression=True,
    cd_files=["site", "odd *"],
    cd_content={"etc/deep/motd": "hello"},
    cd_label="extras",
    qemuargs=[["-smbios", "type=1,serial=4711"], ["-m", "768"]],
    shutdown_command="printf last | dd of=$(cat /etc/disk) seek=1 conv=fsync; poweroff",
    shutdown_timeout=120,
))
def odd(machine):
    machine.shell(
        "lsblk --nodeps --noheadings --bytes -o SIZE,PATH | sort -n >/etc/disks",
        "awk '$1 == 64 * 1024 * 1024 { print $2 }' /etc/disks >/etc/disk",
        "printf first | dd of=$(cat /etc/disk) conv=fsync",
        "mount -o ro /dev/disk/by-label/extras /mnt",
        "cp -r /mnt /srv/cd",
        "umount /mnt",
    )

def test_the_firmware_is_efi(odd):
    assert odd.file("/sys/firmware/efi/efivars").is_directory
    assert "BOOT_IMAGE" in odd.file("/proc/cmdline").content_string, "GRUB's word"

def test_the_window(odd):
    windows = subprocess.check_output(["xwininfo", "-root", "-tree"], text=True)
    assert "QEMU (odd.qemu-" in windows

def test_the_cpu(odd):
    assert "Nehalem" in odd.check_output("grep 'model name' /proc/cpuinfo")

def test_the_disks(odd):
    disks = [line.split() for line in odd.file("/etc/disks").content_string.splitlines()]
    sizes = [int(size) for size, path in disks if path.startswith("/dev/sd")]
    assert sizes == [1 << 20, 64 << 20, 2 << 30]

def test_the_cd(odd):
    assert odd.file("/srv/cd/etc/deep/motd").content_string == "hello"
    assert odd.file("/srv/cd/site/page").content_string == "page"
    assert odd.file("/srv/cd/odd name").content_string == "odd"

def test_the_arguments(odd):
    assert odd.check_output("cat /sys/class/dmi/id/product_serial") == "4711"
    assert 600 < int(odd.check_output("awk '/MemTotal/ { print $2 }' /proc/meminfo")) >> 10 < 768
"""


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A screen that nobody looks at."""
    listening, told = os.pipe()
    command = ["Xvfb", "-displayfd", str(told), "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[told], stderr=subprocess.DEVNULL) as server:
        os.close(told)
        with os.fdopen(listening) as number:
            monkeypatch.setenv("DISPLAY", f":{number.readline().strip()}")
        yield
        server.terminate()


def test_a_machine_with_many_options(vm_project: VmProject, screen: None) -> None:
    (vm_project.path / "site").mkdir()
    (vm_project.path / "site" / "page").write_text("page")
    (vm_project.path / "odd name").write_text("odd")
    vm_project.write(BUILD)
    assert vm_project.run().ret == 0
    assert vm_project.leftovers() == []
    images = [path.name for path in vm_project.images()]
    assert images == ["odd-1.qcow2", "odd-2.qcow2", "odd.qcow2", "odd.qemu.qcow2"]
    taken = vm_project.manifest()["odd.qemu"]["image"]
    assert taken["id"] == "images/odd.qcow2"
    assert [d["id"] for d in taken["properties"]["additional_disks"]] == [
        "images/odd-1.qcow2",
        "images/odd-2.qcow2",
    ]
    additional = raw(vm_project.path / "images/odd-1.qcow2").read_bytes()
    assert (additional[:6], additional[512:517]) == (b"first\0", b"last\0")
    compressed = subprocess.check_output(
        ["qemu-img", "check", vm_project.path / "images/odd.qcow2"]
    )
    assert b"% compressed clusters" in compressed
    assert b" 0.00% compressed" not in compressed


def raw(image: Path) -> Path:
    path = image.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, path], check=True)
    return path
