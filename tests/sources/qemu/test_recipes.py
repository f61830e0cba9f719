from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import os
import shutil
import socket
import struct
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import CancelledError, SourceError, ToolMissingError
from harness.sources.qemu import apt_sources, gpt_disk, recipe_stages, recipes
from harness.sources.qemu.apt_sources import IndexTarget
from harness.sources.qemu.child_process import ChildRunner, require_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECIPE = recipes.RECIPES["debian-12"]
ARCHIVE = "http://archive.example/debian/"
SECURITY = "https://archive.example/debian-security/"
SIGNED = f"[signed-by={apt_sources.KEYRING}]"


def target(
    release: str, uri: str = ARCHIVE, *, component: str = "main", origin: str = "Debian"
) -> IndexTarget:
    return IndexTarget(uri, release, component, origin, "")


# Which archive


def test_debian_s_own_sources_are_taken() -> None:
    targets = [
        target("bookworm"),
        target("bookworm", component="contrib"),
        target("bookworm"),  # a second architecture
        target("bookworm-updates"),
        target("bookworm-security", SECURITY),
    ]
    assert apt_sources.select(targets, "bookworm") == (
        f"deb {SIGNED} {ARCHIVE} bookworm main contrib",
        f"deb {SIGNED} {ARCHIVE} bookworm-updates main",
        f"deb {SIGNED} {SECURITY} bookworm-security main",
    )


def test_another_debian_s_sources_serve_with_the_recipe_s_suite() -> None:
    targets = [target("trixie"), target("trixie-security", SECURITY)]
    assert apt_sources.select(targets, "bookworm") == (
        f"deb {SIGNED} {ARCHIVE} bookworm main",
        f"deb {SIGNED} {SECURITY} bookworm-security main",
    )


@pytest.mark.parametrize(
    "foreign",
    [
        target("bookworm", origin="Somebody Else"),
        target("noble", origin="Ubuntu"),
        target("bookworm-backports"),
        target("bookworm-proposed-updates"),
        target("bookworm", "file:/srv/mirror/"),
        target("bookworm", "https://user:secret@archive.example/debian/"),
        target("bookworm", origin=""),
    ],
    ids=lambda value: f"{value.origin}-{value.release}-{value.uri[:5]}",
)
def test_nothing_else_leaks_into_a_base(foreign: IndexTarget) -> None:
    assert apt_sources.select([foreign], "bookworm") == ()


def test_before_apt_fetched_any_list_the_keyring_tells_debian_s_sources(tmp_path: Path) -> None:
    stanzas = tmp_path / "debian.sources"
    stanzas.write_text(
        "URIs: http://other.example\nSigned-By: /usr/share/keyrings/other.gpg\n\n"
        f"# a comment\nURIs: {ARCHIVE}\nSigned-By: {apt_sources.KEYRING}\n"
    )
    targets = [
        IndexTarget("http://other.example/", "bookworm", "main", "", f"{stanzas}:1"),
        IndexTarget(ARCHIVE, "bookworm", "main", "", f"{stanzas}:2"),
    ]
    assert apt_sources.select(targets, "bookworm") == (f"deb {SIGNED} {ARCHIVE} bookworm main",)


def test_a_list_of_mirrors_stands_for_its_first(tmp_path: Path) -> None:
    mirrors = tmp_path / "debian.list"
    mirrors.write_text(f"{ARCHIVE}\nhttp://second.example/debian/\n")
    listed = target("bookworm", f"mirror+file:{mirrors}/")
    assert apt_sources.select([listed], "bookworm") == (f"deb {SIGNED} {ARCHIVE} bookworm main",)


# The digest


def test_a_digest_is_stable() -> None:
    assert recipes.digest(RECIPE) == recipes.digest(RECIPE)


def test_a_digest_knows_the_recipe_and_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    more = dataclasses.replace(RECIPE, packages=(*RECIPE.packages, "nginx"))
    here = recipes.digest(RECIPE)
    monkeypatch.setattr(apt_sources, "sources_for", lambda suite: (f"deb elsewhere {suite}",))
    elsewhere = recipes.digest(RECIPE)
    assert len({here, elsewhere, recipes.digest(more)}) == 3


# The disk


def test_grub_s_images_know_where_they_are(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    table = b"T" * (512 - 0x1B8)
    disk.write_bytes(b"\0" * 0x1B8 + table + b"\0" * (4 * gpt_disk.MIB))

    gpt_disk.install_grub(disk, b"B" * 512, b"C" * 2048)

    data = disk.read_bytes()
    sector = gpt_disk.BIOS_BOOT_START // 512
    core = data[gpt_disk.BIOS_BOOT_START :]
    assert struct.unpack_from("<Q", data, 0x5C) == (sector,)
    assert struct.unpack_from("<Q", core, 0x1F4) == (sector + 1,)
    assert data[0x1B8:512] == table
    assert core[512:2048] == b"C" * 1536


def test_a_core_image_too_large_for_its_partition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than the BIOS boot partition"):
        gpt_disk.install_grub(tmp_path / "disk", b"", b"\0" * 4 * gpt_disk.MIB)


def test_the_root_partition_is_the_last() -> None:
    ids = gpt_disk.Identifiers.derived_from("digest")
    lines = gpt_disk.sfdisk_script(2048 * gpt_disk.MIB, ids).splitlines()
    starts = {line.split()[0]: int(line.split("start=")[1].split(",")[0]) for line in lines[2:]}
    assert max(starts, key=lambda name: starts[name]) == "disk1"
    assert sorted(starts) == ["disk1", "disk14", "disk15"]


def test_files_in_the_root_belong_to_root() -> None:
    with tarfile.open(fileobj=io.BytesIO(recipe_stages.files_tar())) as tar:
        members = {member.name: member for member in tar}
    assert {member.uid for member in members.values()} == {0}
    assert members["etc/fstab"].mode == 0o644
    assert members["etc/initramfs-tools/hooks/disk-drivers"].mode == 0o755


def test_file_capabilities_are_read_from_the_tar(tmp_path: Path) -> None:
    value = b"\x01\x00\x00\x02\x00\x20\xff" + bytes(13)
    plain, capable = tarfile.TarInfo("./bin/true"), tarfile.TarInfo("./bin/ping")
    key = "SCHILY.xattr.security.capability"
    capable.pax_headers = {key: value.decode(errors="surrogateescape")}
    with tarfile.open(tmp_path / "root.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(plain)
        tar.addfile(capable)
    assert list(recipe_stages.capabilities(tmp_path / "root.tar")) == [("/bin/ping", value)]


# Programs


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(ToolMissingError, match=r"no-such-program.*apt-get install its-package"):
        require_tools({"sh": "dash", "no-such-program": "its-package"}, "The recipe debian-12")


def test_a_failure_shows_the_command_and_its_last_lines() -> None:
    lines: list[str] = []
    runner = ChildRunner(lines.append, lambda: False)
    with pytest.raises(SourceError, match=r"seq 1 30; exit 3(?s:.)*status 3(?s:.)*  11\n") as error:
        runner(["sh", "-c", "seq 1 30; exit 3"])
    assert "\n  10\n" not in str(error.value)
    assert lines == [str(number) for number in range(1, 31)]


def test_a_cancelled_run_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! >{pids}; echo started; wait"
    lines: list[str] = []
    runner = ChildRunner(lines.append, lambda: bool(lines))
    began = time.monotonic()
    with pytest.raises(CancelledError):
        runner(["sh", "-c", script])
    assert time.monotonic() - began < 5
    # It has been sent SIGKILL by now; dying takes the kernel a moment.
    deadline = time.monotonic() + 10
    while alive(pid := int(pids.read_text())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


@pytest.mark.skipif(not shutil.which("fakeroot"), reason="fakeroot is not installed")
def test_a_cancelled_run_leaves_no_daemon_of_fakeroot() -> None:
    lines: list[str] = []
    runner = ChildRunner(lines.append, lambda: bool(lines))
    script = "echo started; sleep 60"
    before = daemons()
    with pytest.raises(CancelledError):
        runner(["fakeroot", "sh", "-c", script])
    assert lines
    deadline = time.monotonic() + 3
    while not daemons() <= before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert daemons() <= before


def daemons() -> set[str]:
    found = subprocess.run(["pgrep", "-x", "faked.*"], capture_output=True, text=True, check=False)
    return set(found.stdout.split())


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# The whole


@pytest.mark.vm
def test_the_disk_boots_and_answers_with_the_keys_it_was_given(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    base = tmp_path / "base.qcow2"
    recipes.make(RECIPE, base, work=work, log=print, cancelled=lambda: False)
    with booted(base, tmp_path) as ssh:
        machine = ssh("cat /etc/machine-id; systemctl is-system-running --wait; cat /etc/hostname")
        disk = ssh("df --output=size -B1G / | tail -1; cloud-init status; ls /etc/ssh/*_key")
        assert machine.split()[1:] == ["running", "debian"]
        assert disk.split() == ["4", "status:", "disabled", "/etc/ssh/ssh_host_ed25519_key"]


@contextlib.contextmanager
def booted(base: Path, directory: Path) -> Iterator[Callable[[str], str]]:
    """A machine on an overlay of the base, twice its size, and a way to run commands on it."""
    overlay = directory / "overlay.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, overlay, "4G"],
        check=True,
    )
    for name in ("user", "host"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(key, check=True)
    port = free_port()
    with (directory / "console.log").open("wb") as console:
        machine = subprocess.Popen(qemu(overlay, directory, port), stdout=console)
        try:
            ssh = client(directory, port)
            wait_for_ssh(ssh, machine)
            yield ssh
            with contextlib.suppress(subprocess.CalledProcessError):
                ssh("systemctl poweroff")
            assert machine.wait(60) == 0
        finally:
            machine.kill()
            machine.wait()


def qemu(overlay: Path, directory: Path, port: int) -> list[str]:
    secrets = {
        "ssh.authorized_keys.root": directory / "user.pub",
        "ssh.host_ed25519_key": directory / "host",
    }
    arguments = []
    for name, path in secrets.items():
        encoded = base64.b64encode(path.read_bytes()).decode()
        arguments += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={encoded}"]
    network = f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"
    return [
        *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-m", "1024", "-smp", "2", "-display", "none", "-serial", "stdio", "-monitor", "none"),
        *("-drive", f"file={overlay},if=virtio,cache=unsafe"),
        *("-netdev", network, "-device", "virtio-net-pci,netdev=net", *arguments),
    ]


def client(directory: Path, port: int) -> Callable[[str], str]:
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{port} {(directory / 'host.pub').read_text()}")
    options = [
        f"UserKnownHostsFile={known_hosts}",
        f"IdentityFile={directory / 'user'}",
        *("StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"),
        # Short enough for another try; long enough for the guest, where each is a process.
        "ConnectTimeout=4",
    ]
    flags = [word for option in options for word in ("-o", option)]

    def ssh(command: str) -> str:
        argv = ["ssh", "-F", os.devnull, *flags, "-p", str(port), "root@127.0.0.1", command]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout

    return ssh


def wait_for_ssh(ssh: Callable[[str], str], machine: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            ssh("true")
        except subprocess.CalledProcessError:
            assert machine.poll() is None, "QEMU ended"
            assert time.monotonic() < deadline, "no SSH login within three minutes"
            time.sleep(0.5)
        else:
            return


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
