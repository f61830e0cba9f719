"""qemu-img: what a disk is, an overlay on it, and the flat image of an overlay."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from harness import environment
from harness.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.sources.qemu.child_process import Runner

FORMATS = ("qcow2", "raw", "vmdk", "vdi", "vhdx")
"""The formats of images; their files' names end in the same."""
_ARCHIVES = {
    b"\xfd7zXZ\0": "xz",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
_ISO9660, _ISO9660_AT = b"CD001", 0x8001


def info(path: Path) -> dict[str, Any]:
    """What qemu-img knows of a disk (``format``, ``virtual-size``, …)."""
    answer = subprocess.run(
        ["qemu-img", "info", "--output=json", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment.snapshot(),
    )
    if answer.returncode:
        raise SourceError(f"qemu-img cannot read {path}: {answer.stderr.strip()}")
    known: dict[str, Any] = json.loads(answer.stdout)
    return known


def check_bootable(path: Path, known: Mapping[str, Any], name: str, *, alone: bool) -> None:
    """Refuse a file that no machine could start from, or that would read other files here.

    Args:
        path: the file.
        known: what `info` says of it.
        name: of the base, for the message.
        alone: whether the file comes from elsewhere, where it cannot have had a backing file.

    Raises:
        SourceError: as it says.
    """
    if known["format"] == "raw":
        with path.open("rb") as file:
            start = file.read(_ISO9660_AT + len(_ISO9660))
        for magic, kind in _ARCHIVES.items():
            if start.startswith(magic):
                raise SourceError(f"base={name!r} is a file packed with {kind}: unpack it first")
        if start[_ISO9660_AT:] == _ISO9660:
            raise SourceError(
                f"base={name!r} is a CD image, and this source installs nothing: start from a "
                "disk image with cloud-init, such as a distribution's cloud image"
            )
    data = known.get("format-specific", {}).get("data", {})
    if alone and ("backing-filename" in known or "data-file" in data):
        raise SourceError(
            f"base={name!r} reads another file of this computer "
            f"({known.get('backing-filename') or data['data-file']}): it does not stand by itself"
        )


def escaped(path: Path) -> str:
    """A path in one of QEMU's option lists, where a comma ends the option."""
    return str(path).replace(",", ",,")


def create_overlay(run: Runner, base: Path, base_format: str, path: Path, size: int | None) -> None:
    """A disk that starts as the base and keeps what is written to itself."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", base_format]
    run([*command, str(path), *([str(size)] if size else [])])


def create_empty(run: Runner, path: Path, size: int) -> None:
    """A disk that reads as zeros."""
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(size)])


def make_sparse(run: Runner, path: Path) -> None:
    """Give a raw file holes where it reads as zeros."""
    sparse = path.with_name(f"{path.name}.sparse")
    run(["qemu-img", "convert", "-S", "4k", "-f", "raw", "-O", "raw", str(path), str(sparse)])
    sparse.replace(path)


def flatten(
    run: Runner, overlay: Path, path: Path, disk_format: str, compress: bool = False
) -> None:
    """A disk that stands by itself, with what the overlay shows."""
    # Out of order writes (-W) and several at once: the target is new, nobody reads it yet.
    command = ["qemu-img", "convert", "-W", "-m", "8", "-f", "qcow2", "-O", disk_format]
    run([*command, *(["-c"] if compress else []), str(overlay), str(path)])
