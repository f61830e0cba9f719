from __future__ import annotations

import dataclasses
import errno
import io
import os
import shutil
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
from harness.sources.qemu.distributions import DEBIAN, UBUNTU

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RECIPE = recipes.RECIPES["debian-12"]
ARCHIVE = "http://archive.example/debian/"
SIGNED = f"[signed-by={DEBIAN.keyring}]"
SECURITY = "https://archive.example/debian-security/"


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
    assert apt_sources.select(targets, DEBIAN, "bookworm") == (
        f"deb {SIGNED} {ARCHIVE} bookworm main contrib",
        f"deb {SIGNED} {ARCHIVE} bookworm-updates main",
        f"deb {SIGNED} {SECURITY} bookworm-security main",
    )


def test_another_debian_s_sources_serve_with_the_recipe_s_suite() -> None:
    targets = [target("trixie"), target("trixie-security", SECURITY)]
    assert apt_sources.select(targets, DEBIAN, "bookworm") == (
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
    assert apt_sources.select([foreign], DEBIAN, "bookworm") == ()


def test_before_apt_fetched_any_list_the_keyring_tells_debian_s_sources(tmp_path: Path) -> None:
    stanzas = tmp_path / "debian.sources"
    stanzas.write_text(
        "URIs: http://other.example\nSigned-By: /usr/share/keyrings/other.gpg\n\n"
        f"# a comment\nURIs: {ARCHIVE}\nSigned-By: {DEBIAN.keyring}\n"
    )
    targets = [
        IndexTarget("http://other.example/", "bookworm", "main", "", f"{stanzas}:1"),
        IndexTarget(ARCHIVE, "bookworm", "main", "", f"{stanzas}:2"),
    ]
    assert apt_sources.select(targets, DEBIAN, "bookworm") == (
        f"deb {SIGNED} {ARCHIVE} bookworm main",
    )


def test_a_list_of_mirrors_stands_for_its_first(tmp_path: Path) -> None:
    mirrors = tmp_path / "debian.list"
    mirrors.write_text(f"{ARCHIVE}\nhttp://second.example/debian/\n")
    listed = target("bookworm", f"mirror+file:{mirrors}/")
    assert apt_sources.select([listed], DEBIAN, "bookworm") == (
        f"deb {SIGNED} {ARCHIVE} bookworm main",
    )


def test_ubuntu_s_own_sources_are_told_from_debian_s() -> None:
    targets = [target("jammy", origin="Ubuntu"), target("bookworm")]
    assert apt_sources.select(targets, UBUNTU, "noble") == (f"deb {ARCHIVE} noble main",)


def test_a_release_that_mmdebstrap_cannot_find_is_told_with_the_way_out(tmp_path: Path) -> None:
    table = tmp_path / "ubuntu.csv"
    for text in ("", "22.04 LTS,Jammy Jellyfish,jammy,2021\n"):
        table.write_text(text)
        with pytest.raises(ToolMissingError, match=r"noble.* apt-get install distro-info-data"):
            dataclasses.replace(UBUNTU, releases=table).require("noble")
    table.write_text("24.04 LTS,Noble Numbat,noble,2023-10-12\n")
    dataclasses.replace(UBUNTU, releases=table).require("noble")


def test_a_missing_keyring_is_told_with_its_package(tmp_path: Path) -> None:
    debian = dataclasses.replace(DEBIAN, keyring=tmp_path / "none")
    recipe = dataclasses.replace(recipes.RECIPES["debian-12"], distribution=debian)
    with pytest.raises(ToolMissingError, match="apt-get install debian-archive-keyring"):
        require_tools(recipes.tools(recipe), "The recipe debian-12")


# The digest


def test_a_digest_is_stable() -> None:
    assert recipes.digest(RECIPE) == recipes.digest(RECIPE)


def test_a_digest_knows_the_recipe_and_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    more = dataclasses.replace(RECIPE, packages=(*RECIPE.packages, "nginx"))
    here = recipes.digest(RECIPE)
    monkeypatch.setattr(apt_sources, "sources_for", lambda _, suite: (f"deb elsewhere {suite}",))
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


# The archive


@pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed")
def test_an_archive_that_cannot_be_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "http://127.0.0.1:1/debian"
    monkeypatch.setattr(apt_sources, "sources_for", lambda *_: (f"deb {nowhere} bookworm main",))
    with pytest.raises(SourceError, match="could not be installed from") as error:
        recipes.make(RECIPE, tmp_path / "disk", work=tmp_path, log=print, cancelled=lambda: False)
    assert f"from {nowhere}. If that cannot be reached" in str(error.value)
    assert "Could not connect to 127.0.0.1" in str(error.value)


@pytest.mark.parametrize(
    "error",
    [
        SourceError("mmdebstrap failed: write (28: No space left on device)"),
        SourceError("E: You don't have enough free space in /var/cache/apt/archives/."),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    ],
)
def test_a_full_disk_is_not_the_archives_fault(tmp_path: Path, error: Exception) -> None:
    def run(argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> None:
        raise error

    with pytest.raises(SourceError, match="the disk is too small") as raised:
        recipes.make(
            RECIPE, tmp_path / "disk", work=tmp_path, log=print, cancelled=lambda: False, run=run
        )
    assert "XDG_CACHE_HOME" in str(raised.value)
    assert str(error) in str(raised.value)
    assert "could not be installed" not in str(raised.value)
