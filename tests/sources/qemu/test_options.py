"""Wrong options are a sentence before anything is made; right ones are QEMU's command line."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import CommandError, ConfigurationError, ToolMissingError
from harness.sources.qemu import Qemu, access, capabilities, command, firmware, launch, media
from harness.sources.qemu.command import Place, Shape
from harness.sources.qemu.vm import VirtualMachine
from harness.testing import FakeInstance, FakeSource

if TYPE_CHECKING:
    from harness.sources.base import Context

pytestmark = pytest.mark.skipif(
    not shutil.which(capabilities.PROGRAM), reason="QEMU is not installed"
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 32}, "memory=32: write a whole number of MiB, at least 64"),
        ({"memory": "2G"}, "memory='2G': write a whole number of MiB, at least 64"),
        ({"memory": 512.5}, "memory=512.5: write a whole number of MiB, at least 64"),
        ({"memory": 1 << 40}, "memory=1099511627776: this computer has [0-9]+ MiB"),
        ({"cpus": 0}, "cpus=0: write a whole number, at least 1, at most 255"),
        ({"cpus": 5000}, "cpus=5000: write a whole number, at least 1, at most 255"),
        ({"headless": "no"}, "headless='no': write True or False"),
        (
            {"user_data": b"secret"},
            "^user_data is of type bytes: write a text or a harness.Secret$",
        ),
        ({"cd_content": ["x"]}, "cd_content is of type list: write a dict"),
        ({"cd_files": "site"}, "cd_files='site': write a list .each entry a text or a path"),
        ({"disk_size": "1M"}, "disk_size='1M': no base fits into that; at least 64 MiB"),
        ({"memroy": 1}, "^Qemu has no option 'memroy': did you mean 'memory'.$"),
        ({"vm_name": "web"}, "Qemu has no option 'vm_name': image_name= names the image's file"),
        ({"temporary_key_pair_name": "x"}, "a temporary key has no name here; leave it out"),
        ({"qqq": 1}, "Qemu has no option 'qqq'; there are ssh_host, ssh_port, "),
        ({"format": "vhd"}, "format='vhd': choose one of qcow2, raw, vmdk, vdi, vhdx"),
        ({"format": "raw", "disk_compression": True}, "does not go with format='raw'"),
        ({"disk_size": "10 gallons"}, "disk_size='10 gallons' is no size"),
        ({"disk_additional_size": ["1G", "0"]}, "disk_additional_size='0' is no size"),
        ({"disk_interface": "floppy"}, "choose one of virtio, ide, virtio-scsi, scsi, sata, nvme"),
        ({"disk_cache": "some"}, "disk_cache='some': choose one of unsafe"),
        ({"disk_discard": "yes"}, "disk_discard='yes': choose one of unmap, ignore"),
        ({"accelerator": "xen"}, "accelerator='xen': choose one of auto, kvm, hvf, tcg"),
        ({"machine_type": "q36"}, "machine_type='q36': QEMU has q35"),
        ({"cpu_model": "Haswel,+aes"}, "cpu_model='Haswel,.aes': QEMU has Haswell"),
        ({"net_device": "virtio-nut"}, "net_device='virtio-nut': QEMU has virtio-net"),
        ({"ssh_username": ""}, "ssh_username='' is no user"),
        ({"ssh_username": "a b"}, "ssh_username='a b' is no user"),
        ({"cpus": True}, "cpus=True: write a whole number, at least 1"),
        ({"base": "."}, "base='.' is a folder"),
        ({"base": "tiny.qcow2"}, "base='tiny.qcow2' has 4 bytes, which is no disk image"),
        ({"output_directory": "tiny.qcow2"}, "tiny.qcow2 is no folder; images go below"),
        (
            {"shutdown_timeout": "5m"},
            "shutdown_timeout='5m': write a number of seconds, at least 1",
        ),
        ({"user_data": "x", "user_data_file": "y"}, "are both given"),
        ({"user_data_file": "nowhere"}, "user_data_file='nowhere' is no text file"),
        ({"cd_files": ["nowhere/*"]}, "cd_files: 'nowhere/[*]' matches nothing"),
        ({"cd_content": {"../x": ""}}, "cd_content: '../x' is no path below a CD's root"),
        ({"cd_content": {"x" * 65: ""}}, "a name on a CD has at most 64 characters"),
        ({"cd_label": "CIDATA"}, "give user_data or user_data_file instead"),
        ({"cd_label": "x" * 33}, "a label has 1 to 32 characters"),
        ({"qemuargs": ["-snapshot"]}, "qemuargs has '-snapshot': write"),
        ({"qemuargs": [["-m", "1", "2"]]}, "qemuargs has .*: write"),
        ({"qemuargs": [["m", "1G"]]}, "a flag begins with one dash"),
        ({"qemuargs": [["-snapshot"]]}, "the image would not hold what was built"),
        ({"qemuargs": [["-daemonize"]]}, "nobody could tell when the machine has ended"),
        ({"qemuargs": [["-netdev", "user,id=net0"]]}, "-netdev without {ssh_port}"),
        ({"qemuargs": [["-drive", "file=other"]]}, "-drive without {disk}"),
        ({"headless": False}, "headless=False needs a "),
        ({"image_name": "a/b"}, "a name may have no slash"),
        ({"image_name": "{version}"}, "{uuid}, {build}, {source}, {git_sha}$"),
        ({"params": {"build": 1}}, "'build' already stands for something in names"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused(
    context: Context, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    for display in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(display, raising=False)
    (context.directory / "tiny.qcow2").write_text("tiny")
    with pytest.raises((ConfigurationError, ToolMissingError), match=message):
        Qemu(**options).validate(context)
    assert context.journal.outstanding() == []


def test_right_options_pass(context: Context) -> None:
    (context.directory / "site").mkdir()
    (context.directory / "user-data").write_text("#cloud-config\n")
    Qemu(
        machine_type="pc,hpet=off",
        cpu_model="Haswell-v4,-vmx",
        net_device="e1000",
        disk_interface="nvme",
        disk_size="10G",
        disk_additional_size=["512M", 64],
        disk_compression=True,
        user_data_file="user-data",
        cd_files=["site", "user-*"],
        cd_content={"etc/motd": "hello"},
        qemuargs=[["-device", "usb-ehci"], ["-no-hpet"], ["-netdev", "user,hostfwd={ssh_port}"]],
        shutdown_command="poweroff",
        shutdown_timeout=10,
    ).validate(context)


def test_the_manifest_gets_nothing_that_may_be_secret() -> None:
    source = Qemu(
        base="https://example.org/disk.qcow2?token=secret",
        user_data="password: secret",
        cd_content={"key": "secret"},
        cd_files=[Path("site")],
    )
    shown = json.dumps(source.options())
    assert "secret" not in shown
    assert '"base": "https://example.org/disk.qcow2"' in shown
    assert shown.count("sha256:") == 2


# The command line

SHAPE = Shape(
    memory=512,
    cpus=1,
    machine_type="q35",
    cpu_model="",
    additional_disks=(),
    disk_interface="virtio",
    disk_cache="unsafe",
    disk_discard="unmap",
    net_device="virtio-net-pci",
    window=None,
    firmware=None,
    boot=(("-kernel", "vmlinuz"), ("-append", "quiet")),
    qemuargs=(),
    ssh_port=22,
)


def arguments(directory: Path, **changes: Any) -> str:
    place = Place("web.qemu-1", directory, 2222)
    shape = dataclasses.replace(SHAPE, **changes)
    return " ".join(command.build(shape, place, "tcg", ["-smbios", "type=11,ours"]))


def test_qemuargs_take_the_place_of_the_defaults_of_their_flag(tmp_path: Path) -> None:
    usual = arguments(tmp_path)
    assert "-m 512 " in usual
    assert usual.count("-device") == 3
    given = (("-m", "1G"), ("-device", "a"), ("-device", '{"b": 1}'), ("-append", "x"), ("-S",))
    changed = arguments(tmp_path, qemuargs=given)
    assert "-m 1G " in changed
    assert "-m 512 " not in changed
    assert changed.count("-device") == 2
    assert '-device a -device {"b": 1} ' in changed
    assert "-kernel vmlinuz " in changed
    assert "-append x " in changed


def test_a_machine_has_a_window_or_none(tmp_path: Path) -> None:
    assert "-display none " in arguments(tmp_path)
    assert "-display gtk " in arguments(tmp_path, window="gtk")


def test_what_lets_us_in_and_what_finds_the_process_stay(tmp_path: Path) -> None:
    given = (("-smbios", "type=1,serial=7"), ("-drive", "file={disk}"), ("-serial", "none"))
    changed = arguments(tmp_path, qemuargs=given)
    assert "-smbios type=11,ours" in changed
    assert "-smbios type=1,serial=7" in changed
    assert f"file={tmp_path}/disk.qcow2" in changed
    assert f"-pidfile {tmp_path}/pid" in changed


@pytest.mark.parametrize(
    ("qemuargs", "otherwise"),
    [
        ([["-kernel", "mine"]], True),
        ([["-bios", "OVMF.fd"]], True),
        ([["-drive", "if=pflash,file=OVMF.fd"]], True),
        ([["-append", "quiet"], ["-device", "usb-ehci"], ["-no-hpet"]], False),
    ],
)
def test_who_says_what_to_boot_is_left_alone(qemuargs: list[list[str]], otherwise: bool) -> None:
    assert command.boots_otherwise(qemuargs) is otherwise


@pytest.mark.parametrize("machine_type", ["q35", "pc"])
@pytest.mark.parametrize("interface", command.DISK_INTERFACES)
def test_qemu_takes_every_disk_interface(tmp_path: Path, interface: str, machine_type: str) -> None:
    place = Place("web.qemu-1", tmp_path, 0)
    shape = dataclasses.replace(
        SHAPE, disk_interface=interface, machine_type=machine_type, additional_disks=(1, 2), boot=()
    )
    for path in place.disks(shape):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    monitor = ["-S", "-qmp", "stdio"]
    quit_it = '{"execute": "qmp_capabilities"}\n{"execute": "query-block"}\n{"execute": "quit"}\n'
    done = subprocess.run(
        command.build(shape, place, "tcg", monitor),
        input=quit_it,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [done.stdout.count(f'{path.name}"') > 0 for path in place.disks(shape)] == [True] * 3


# Firmware

DESCRIPTION = """{
  "interface-types": ["uefi"], "features": %s,
  "mapping": {"device": "flash",
    "executable": {"filename": "%s", "format": "raw"},
    "nvram-template": {"filename": "vars", "format": "qcow2"}},
  "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}]}"""


def test_firmware_is_found_as_qemu_describes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    directory = tmp_path / "qemu" / "firmware"
    directory.mkdir(parents=True)
    (directory / "00-secure.json").write_text(DESCRIPTION % ('["requires-smm"]', "secure"))
    (directory / "10-own.json").write_text(DESCRIPTION % ("[]", "own"))
    found = firmware.find("q35")
    assert (found.code, found.variables, found.variables_format) == ("own", "vars", "qcow2")
    (directory / "10-own.json").write_text("")  # hides
    monkeypatch.setattr(firmware, "_directories", lambda: [directory])
    with pytest.raises(ToolMissingError, match="apt-get install ovmf"):
        firmware.find("q35")


def test_all_missing_programs_are_named_at_once(
    context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("harness.sources.qemu.child_process.search_path", lambda: str(tmp_path))
    with pytest.raises(ToolMissingError) as raised:
        Qemu(base="debian-12").validate(context)
    installed = str(raised.value).partition("apt-get install ")[2].split()
    assert {"qemu-system-x86", "qemu-utils", "mmdebstrap", "mtools"} < set(installed)


# The CD


def test_what_goes_on_a_cd(tmp_path: Path) -> None:
    (tmp_path / "site" / "sub").mkdir(parents=True)
    (tmp_path / "site" / "sub" / "page").write_text("page")
    (tmp_path / "link").symlink_to("site/sub/page")
    names = {
        ("site",): ["site/sub/page"],
        ("site/",): ["sub/page"],
        ("si*", "link"): ["site/sub/page", "link"],
    }
    for given, expected in names.items():
        assert list(media.collect(given, {}, tmp_path)) == expected
    files = media.collect(["site"], {"etc/motd": "hello"}, tmp_path)
    assert files["etc/motd"] == b"hello"
    disc = media.Disc("label", files)
    before = disc.digest
    (tmp_path / "site" / "sub" / "page").write_text("changed")
    assert len({before, disc.digest, media.Disc("other", files).digest}) == 3


# Shutting down


def test_a_shutdown_command_that_does_not_exist_is_told_at_once(
    context: Context, tmp_path: Path
) -> None:
    answers = {"halt-it": (127, "", "sh: halt-it: not found")}
    connection = FakeSource(answers=answers).connect(FakeInstance("fake"), context)
    with pytest.raises(CommandError, match="halt-it: not found"):
        Qemu(shutdown_command="halt-it").stop(machine(tmp_path), connection, context)


def machine(directory: Path) -> VirtualMachine:
    """One that is not started."""
    return VirtualMachine("vm", directory, access.NO_KEYS, SHAPE)


# When nobody got in


def test_what_a_machine_did_that_let_nobody_in(tmp_path: Path) -> None:
    vm = machine(tmp_path)
    vm.console.touch()
    assert "printed nothing: it may have no console" in launch.what_it_did(vm, 5)
    vm.console.write_text("Linux version 6\n")
    told = launch.what_it_did(vm, 5)
    assert told.endswith("was still booting: a slow machine needs a larger ssh_timeout than 5")
    then = time.time() - 100
    os.utime(vm.console, (then, then))
    assert "printed nothing in the last 100 s" in launch.what_it_did(vm, 5)
