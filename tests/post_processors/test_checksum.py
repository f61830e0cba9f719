"""Checksums of files."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

from harness.post_processors import Checksum
from tests.post_processors.conftest import DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import Image


def test_a_checksum_lies_beside_the_image_and_other_tools_read_it(image: Image) -> None:
    made = Checksum()(image)
    (path,) = made.files[1:]
    assert image.path is not None
    assert path == image.path.with_name("web.img.sha256")
    subprocess.run(["sha256sum", "--check", path.name], cwd=path.parent, check=True)


def test_checksums_of_all_kinds_in_one_file_once_each(image: Image) -> None:
    kinds = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]
    checksum = Checksum(checksum_types=kinds, output="deep/{{.BuildName}}-{{ .BuilderType }}")
    for _ in range(2):
        made = checksum(image)
    lines = [f"{hashlib.new(kind, DATA).hexdigest()}\tweb.img" for kind in kinds]
    assert made.files[1].read_text().splitlines() == lines


def test_checksums_of_others_stay(make_image: Callable[..., Image]) -> None:
    checksum = Checksum(output="SUMS")
    first = checksum(make_image("a", data=b"old"))
    checksum(make_image("b", "b-1"))
    checksum(make_image("a", data=b"new"))
    lines = first.files[1].read_text().splitlines()
    assert [line.partition("\t")[2] for line in lines] == ["b", "b-1", "a"]
    assert lines[2].startswith(hashlib.sha256(b"new").hexdigest())
