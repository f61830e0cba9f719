"""Compressed files and archives."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ConfigurationError, ToolMissingError
from harness.post_processors import Compress
from harness.post_processors._gzip import Bgzf, Gzip
from harness.post_processors.compress import how
from tests.post_processors.conftest import DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import Image


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web", ("tar", "gz")),
        ("web.qcow2", ("tar", "gz")),
        ("web.gz", ("", "gz")),
        ("web.qemu.gz", ("", "gz")),
        ("web.tar.gz", ("tar", "gz")),
        ("web.tar", ("tar", "")),
        ("web.zip", ("zip", "")),
        ("web.tar.zip", ("zip", "")),
        ("web.lz4", ("", "lz4")),
        ("web.tar.lz4", ("tar", "lz4")),
        ("web.bgzf", ("", "bgzf")),
    ],
)
def test_endings_say_how(name: str, expected: tuple[str, str]) -> None:
    assert how(name) == expected


@pytest.mark.parametrize(
    ("output", "command"),
    [
        ("out/web.gz", ["gzip", "-dc"]),
        ("web.bgzf", ["gzip", "-dc"]),
        ("web.lz4", ["lz4", "-dc"]),
        ("web.tar.gz", ["tar", "-xzOf"]),
        ("web.tar", ["tar", "-xOf"]),
        ("web.tar.bgzf", ["tar", "-xzOf"]),
        ("web.zip", ["python3", "-m", "zipfile", "-t"]),
        ("web", ["tar", "-xzOf"]),
    ],
)
def test_other_tools_read_what_was_compressed(
    make_image: Callable[..., Image], output: str, command: list[str]
) -> None:
    if command[0] == "lz4":
        pytest.importorskip("lz4")
    data = random.Random(0).randbytes(100_000) + bytes(3_000_000) + DATA
    image = make_image("web.img", data=data)
    made = Compress(output=output)(image)
    assert image.path is not None
    assert image.path.exists()
    (path,) = made.files
    read = subprocess.run([*command, path], capture_output=True, check=True).stdout
    assert read == (data if command[0] != "python3" else b"Done testing\n")
    assert not list(path.parent.glob(".*partial"))


@pytest.mark.parametrize("output", ["a.tar.gz", "a.gz", "a.zip", "a.bgzf"])
def test_the_same_files_make_the_same_bytes(image: Image, output: str) -> None:
    made = []
    for when in (1_000_000_000, 1_700_000_000):
        assert image.path is not None
        os.utime(image.path, (when, when))
        made.append(Compress(output=output)(image).files[0].read_bytes())
    assert made[0] == made[1]


@settings(max_examples=30, deadline=None)
@given(
    pieces=st.lists(st.integers(0, 200_000), max_size=6),
    seed=st.integers(0, 3),
    kind=st.sampled_from(["gz", "bgzf"]),
    level=st.integers(1, 9),
)
def test_gzip_gives_back_what_it_was_given(
    pieces: list[int], seed: int, kind: str, level: int
) -> None:
    noise = random.Random(seed)
    data = [noise.randbytes(n) if n % 2 else bytes(n) * 3 for n in pieces]
    out = io.BytesIO()
    writer = (Gzip if kind == "gz" else Bgzf)(out, level)
    for piece in data:
        writer.write(piece)
    writer.close()
    assert gzip.decompress(out.getvalue()) == b"".join(data)


def test_every_member_of_bgzf_says_how_long_it_is(make_image: Callable[..., Image]) -> None:
    data = random.Random(1).randbytes(200_000)
    packed = Compress(output="a.bgzf")(make_image("a", data=data)).files[0].read_bytes()
    at, members = 0, 0
    while at < len(packed):
        assert packed[at : at + 4] == b"\x1f\x8b\x08\x04"
        assert packed[at + 12 : at + 14] == b"BC"
        at += int.from_bytes(packed[at + 16 : at + 18], "little") + 1
        members += 1
    assert at == len(packed)
    assert members == 5, "four, and an empty one that is the end"


def test_a_level_makes_a_difference(image: Image) -> None:
    data = "".join(random.Random(0).choices("abcd", k=200_000)).encode()
    assert image.path is not None
    image.path.write_bytes(data)
    sizes = [
        Compress(output="a.gz", compression_level=level)(image).files[0].stat().st_size
        for level in (1, 9)
    ]
    assert sizes[1] < sizes[0]


def test_several_files_need_an_archive(make_image: Callable[..., Image]) -> None:
    image = make_image("web.img", "web-1.img")
    with pytest.raises(ConfigurationError, match=r"holds one file, and there are 2 \(web.img, we"):
        Compress(output="web.gz")(image)
    made = Compress()(image).files[0]
    assert made.name == "web.img.tar.gz"
    with tarfile.open(made) as archive:
        assert archive.getnames() == ["web.img", "web-1.img"]
    with zipfile.ZipFile(Compress(format="zip")(image).files[0]) as zipped:
        assert zipped.namelist() == ["web.img", "web-1.img"]


def test_nothing_is_made_of_itself(image: Image) -> None:
    with pytest.raises(ConfigurationError, match=r"is images/web.img, which it is made from"):
        Compress(output="images/web.img")(image)
    assert image.path is not None
    assert image.path.read_bytes() == DATA


def test_without_lz4_the_way_out_is_told(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    with pytest.raises(ToolMissingError, match=r'pip install "pytest-image-harness\[lz4\]"'):
        Compress(output="a.lz4")(image)
    assert not list(image.files[0].parent.parent.glob("*a.lz4*"))
