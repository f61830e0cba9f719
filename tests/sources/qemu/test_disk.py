"""Disks as qemu-img makes them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.sources.qemu import disk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")

MIB = 1 << 20


def run(argv: Sequence[str], **_: object) -> None:
    subprocess.run(argv, check=True)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """4 MiB of a base, half of it noise, in an overlay of 8 MiB."""
    base = tmp_path / "base.raw"
    base.write_bytes(os.urandom(MIB) + b"text" * (MIB // 4) + bytes(2 * MIB))
    path = tmp_path / "overlay.qcow2"
    disk.create_overlay(run, base, "raw", path, 8 * MIB)
    return path


@pytest.mark.parametrize("format", disk.FORMATS)
def test_an_image_of_each_format_holds_the_disk(overlay: Path, format: str) -> None:
    path = overlay.with_name("image")
    disk.flatten(run, overlay, path, format)
    known = disk.info(path)
    assert known["format"] == format
    assert known["virtual-size"] >= 8 * MIB
    assert "backing-filename" not in known
    subprocess.run(["qemu-img", "compare", "-q", "-F", format, overlay, path], check=True)


def test_a_compressed_image_is_smaller(overlay: Path) -> None:
    plain, small = overlay.with_name("plain"), overlay.with_name("small")
    disk.flatten(run, overlay, plain, "qcow2")
    disk.flatten(run, overlay, small, "qcow2", compress=True)
    assert small.stat().st_size < plain.stat().st_size
    subprocess.run(["qemu-img", "compare", "-q", plain, small], check=True)


def test_zeros_become_holes(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    content = bytes(2 * MIB) + os.urandom(MIB) + bytes(MIB)
    path.write_bytes(content)
    disk.make_sparse(run, path)
    assert path.read_bytes() == content
    assert path.stat().st_blocks * 512 <= MIB + 4096
    assert list(tmp_path.iterdir()) == [path]
