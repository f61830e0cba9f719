"""Post-processors by themselves: what all have in common, and chains."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ConfigurationError
from harness.post_processors import (
    TYPES,
    Artifice,
    Chain,
    Checksum,
    Compress,
    Manifest,
    PostProcessor,
    ShellLocal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.model import Image


def test_the_registry_knows_packers_types() -> None:
    assert sorted(TYPES) == ["artifice", "checksum", "compress", "manifest", "shell-local"]
    for name, kind in TYPES.items():
        assert kind.type == name
        assert set(kind.packer_defaults) <= {f.name for f in dataclasses.fields(kind)}


def test_artifice(image: Image, tmp_path: Path) -> None:
    for name in ("b.ova", "a.ova"):
        (tmp_path / name).touch()
    assert [p.name for p in Artifice(files=["*.ova"])(image).files] == ["a.ova", "b.ova"]
    with pytest.raises(ConfigurationError, match=r"files has 'c\*', and there is no such file"):
        Artifice(files=["a.ova", "c*"])(image)


def test_a_chain_hands_on_and_removes_what_nobody_keeps(image: Image, tmp_path: Path) -> None:
    chain = Chain(
        Compress(output="a.gz"), Compress(output="a.zip"), Checksum(output="sum"), Manifest()
    )
    assert chain.name == "compress-compress-checksum-manifest"
    assert [p.name for p in chain(image).files] == ["a.zip", "sum"]
    assert not (tmp_path / "a.gz").exists()
    assert image.files[0].exists(), "an image goes only where somebody says so"
    (entry,) = json.loads((tmp_path / "packer-manifest.json").read_text())["builds"]
    assert [f["name"] for f in entry["files"]] == ["a.zip", "sum"]
    assert entry["artifact_id"] == ""


def test_what_was_said_to_stay_or_go(image: Image, tmp_path: Path) -> None:
    stable = image.files[0].with_name("web.fake.raw")
    stable.symlink_to("web.img")
    image = dataclasses.replace(image, stable_path=stable.relative_to(tmp_path))
    first = Compress(output="a.gz", keep_input_artifact=False)
    Chain(first, Compress(output="a.zip", keep_input_artifact=True))(image)
    assert (tmp_path / "a.gz").exists()
    assert not image.files[0].exists()
    assert not stable.is_symlink()


def test_those_that_hand_on_what_they_get_keep_it(image: Image) -> None:
    for kind in (Checksum, Manifest):
        kind(keep_input_artifact=False)(image)
    ShellLocal(inline=["true"], keep_input_artifact=False)(image)
    Chain(Checksum(), Compress(output="a.tar", keep_input_artifact=False))(image)
    assert image.files[0].exists(), "what a checksum hands on is the image's own"


def test_an_image_in_a_cloud(make_image: Callable[..., Image], tmp_path: Path) -> None:
    image = make_image()
    assert (
        Chain(Checksum(), Compress(), ShellLocal(inline=['echo "$HARNESS_ARTIFACT" >out']))(
            image
        ).files
        == ()
    )
    assert (tmp_path / "out").read_text() == "ami-1\n"
    with pytest.raises(ConfigurationError, match="ami-1 is no file, and an image in a cloud is"):
        Compress(keep_input_artifact=False)(image)


@pytest.mark.parametrize(
    ("options", "there"),
    [
        ({"only": ["fake"]}, True),
        ({"only": ["web.fake", "other"]}, True),
        ({"only": ["other"]}, False),
        ({"except_": ["fake"]}, False),
        ({"except_": ["other"]}, True),
    ],
)
def test_sources_that_it_is_for(image: Image, options: dict[str, Any], there: bool) -> None:
    Checksum(**options)(image)
    assert image.files[0].with_name("web.img.sha256").exists() == there


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Checksum(types=["md5"]), "write checksum_types=, as in Packer"),  # type: ignore[call-arg]  # the mistake
        (lambda: Checksum(checksum_types=["sha3"]), "has 'sha3': choose of md5, sha1, sha224"),
        (lambda: Checksum(checksum_types=[]), "choose of md5, sha1"),
        (lambda: Checksum(checksum_types="md5"), "write a list"),
        (lambda: Compress(compression_level=99), "a whole number, at least 0, at most 9"),
        (lambda: Compress(outptu="a"), "did you mean 'output'"),  # type: ignore[call-arg]  # as above
        (ShellLocal, "give one of inline, command, script, scripts; there is none"),
        (lambda: ShellLocal(inline=["a"], script="b"), "there is inline and script"),
        (lambda: ShellLocal(inline=["a"], environment_vars=["A"]), "write NAME=value"),
        (lambda: ShellLocal(inline=["a"], environment_vars="A=b"), "write"),
        (Artifice, "there are no files"),
        (lambda: Manifest(only=["a"], except_=["b"]), "only and except_ exclude each other"),
        (Chain, "Chain is given nothing where a post-processor belongs"),
        (lambda: Chain(Checksum), "calls included"),  # type: ignore[arg-type]  # as above
    ],
)
def test_mistakes_are_told_at_once(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        make()


@pytest.mark.parametrize(
    "processor",
    [
        Checksum(output="{{.Nothing}}"),
        Compress(output="{{.Nothing}}"),
        Manifest(output="{{.Nothing}}"),
        Manifest(custom_data={"a": "{{.Nothing}}"}),
        ShellLocal(inline=["true"], execute_command=["{{.Nothing}}"]),
    ],
    ids=lambda p: f"{p.type}",
)
def test_a_field_that_there_is_not(image: Image, processor: PostProcessor) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no \{\{\.Nothing\}\}; fields are"):
        processor(image)
