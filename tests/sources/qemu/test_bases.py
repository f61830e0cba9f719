"""What ``base=`` may be, and what it must not be."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigurationError, SourceError
from harness.sources.qemu import bases
from tests.fileserver import FileServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.sources.base import Context

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")

MIB = 1 << 20
URL = "https://example.org/disk.qcow2"
SHA256 = f"sha256:{'0' * 64}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with FileServer(tmp_path) as server:
        yield server


def image(path: Path, *options: str) -> Path:
    """A disk of 8 MiB."""
    subprocess.run(["qemu-img", "create", "-q", *options, path, "8M"], check=True)
    return path


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("format", ["qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc"])
def test_a_local_file_of_any_format(context: Context, format: str) -> None:
    path = image(context.directory / "disk.img", "-f", format)
    base = bases.resolve("disk.img", "", context)
    assert (base.path, base.format, base.checksum) == (path, format, sha256(path))
    assert base.size >= 8 * MIB
    assert not base.reads_credentials
    assert base.boot_arguments == ()


def test_a_local_file_can_be_vouched_for(context: Context) -> None:
    path = image(context.directory / "disk.qcow2", "-f", "qcow2")
    sha512 = hashlib.sha512(path.read_bytes()).hexdigest()
    (context.directory / "SHA512SUMS").write_text(f"{sha512}  disk.qcow2\n")
    for name in ("disk.qcow2", path, f"file://{path}"):
        for checksum in (sha256(path), sha512, "file:SHA512SUMS", "none", ""):
            bases.check(name, checksum, context)
            assert bases.resolve(name, checksum, context).path == path
    with pytest.raises(SourceError, match=f"not the file that base_checksum says:\n.*{SHA256}"):
        bases.resolve("disk.qcow2", SHA256, context)


def test_a_file_from_a_server_and_its_mirror(context: Context, server: FileServer) -> None:
    path = image(context.directory / "disk.qcow2", "-f", "qcow2")
    urls = [server.url("none/disk.qcow2"), server.url("disk.qcow2?signature=secret")]
    bases.check(urls, sha256(path), context)
    base = bases.resolve(urls, sha256(path), context)
    assert base.path.is_relative_to(context.root / "cache")
    assert base.path.read_bytes() == path.read_bytes()
    assert (base.name, base.format, base.size) == (urls[0], "qcow2", 8 * MIB)
    assert base.checksum == sha256(path)
    assert bases.resolve(urls[1], sha256(path), context).name == server.url("disk.qcow2")


def test_a_file_from_elsewhere_must_not_read_files_from_here(
    context: Context, server: FileServer
) -> None:
    secret = image(context.directory / "secret", "-f", "raw")
    overlay = image(context.directory / "disk.qcow2", "-f", "qcow2", "-b", str(secret), "-F", "raw")
    with pytest.raises(SourceError, match=f"reads another file of this computer .{secret}"):
        bases.resolve(server.url("disk.qcow2"), sha256(overlay), context)
    assert bases.resolve(overlay, "", context).size == 8 * MIB, "one's own may"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xfd7zXZ\0" + bytes(5000), "packed with xz: unpack it first"),
        (b"\x1f\x8b" + bytes(5000), "packed with gzip"),
        (bytes(0x8001) + b"CD001" + bytes(5000), "a CD image, and this source installs nothing"),
    ],
)
def test_what_no_machine_starts_from_is_refused(
    context: Context, content: bytes, message: str
) -> None:
    (context.directory / "disk.img").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        bases.resolve("disk.img", "", context)


@pytest.mark.parametrize(
    ("base", "checksum", "message"),
    [
        ("debian-7", "", r"no recipe \(debian-12, debian-13, ubuntu-24.04\), no URL, and there is"),
        ("debian-12", SHA256, "debian-12 is a recipe.*leave it out"),
        ("missing.qcow2", "", "there is no such file"),
        ([], "", "is no recipe"),
        (URL, "", f"base_checksum is missing for {URL}: give"),
        (URL, "sha256:1", "is no checksum"),
        (URL, "file:SHA256SUMS", "there is no such file"),
        ([URL, "disk.qcow2"], SHA256, "base='disk.qcow2' is no URL"),
        ("ftp://example.org/disk.qcow2", SHA256, "starts with http:// or https://"),
        ("https://example.org/", SHA256, "ends in a file's name"),
        (
            "https://me:secret@example.org/disk",
            SHA256,
            "on example.org has a user name or password",
        ),
    ],
)
def test_a_wrong_base_is_refused(
    context: Context, base: str | Sequence[str], checksum: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        bases.check(base, checksum, context)
