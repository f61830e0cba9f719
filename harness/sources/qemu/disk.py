"""qemu-img: what a disk is, an overlay on it, and the flat image of an overlay."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigurationError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sources.qemu.child_process import Runner

FORMATS = {"qcow2": "qcow2", "raw": "raw"}
"""The formats of images, and what their files' names end in."""
_UNITS = {"": 1 << 20, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(value: str | int) -> int:
    """Bytes of a size as Packer writes it: "10G", "4096M", or a number of MiB."""
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)B?", str(value).strip(), re.IGNORECASE)
    if not match or int(match[1]) == 0:
        raise ConfigurationError(
            f'disk_size={value!r} is no size: write "10G", "4096M", or a number of MiB'
        )
    return int(match[1]) * _UNITS[match[2].upper()]


def info(path: Path) -> dict[str, Any]:
    """What qemu-img knows of a disk (``format``, ``virtual-size``, …)."""
    answer = subprocess.run(
        ["qemu-img", "info", "--output=json", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise SourceError(f"qemu-img cannot read {path}: {answer.stderr.strip()}")
    known: dict[str, Any] = json.loads(answer.stdout)
    return known


def escaped(path: Path) -> str:
    """A path in one of QEMU's option lists, where a comma ends the option."""
    return str(path).replace(",", ",,")


def create_overlay(run: Runner, base: Path, base_format: str, path: Path, size: int | None) -> None:
    """A disk that starts as the base and keeps what is written to itself."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", base_format]
    run([*command, str(path), *([str(size)] if size else [])])


def flatten(run: Runner, overlay: Path, path: Path, disk_format: str) -> None:
    """A disk that stands by itself, with what the overlay shows."""
    # Out of order writes (-W) and several at once: the target is new, nobody reads it yet.
    command = ["qemu-img", "convert", "-W", "-m", "8", "-f", "qcow2", "-O", disk_format]
    run([*command, str(overlay), str(path)])
