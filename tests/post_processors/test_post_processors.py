"""Post-processors by themselves."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import platform
import random
import re
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import CommandError, CommandTimeoutError, ConfigurationError, ToolMissingError
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
from harness.post_processors.compress import how
from harness.secret import Secret
from tests.post_processors.conftest import DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.model import Image


def test_the_registry_knows_packers_types() -> None:
    assert sorted(TYPES) == ["artifice", "checksum", "compress", "manifest", "shell-local"]
    for name, kind in TYPES.items():
        assert kind.type == name
        assert set(kind.packer_defaults) <= {f.name for f in dataclasses.fields(kind)}


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
    import io

    from harness.post_processors._gzip import Bgzf, Gzip

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


def test_a_manifest_grows(image: Image, make_image: Callable[..., Image], tmp_path: Path) -> None:
    Manifest(custom_data={"from": "{{.BuildName}}"})(image)
    Manifest(strip_path=True, strip_time=True)(image)
    Manifest()(make_image())
    document = json.loads((tmp_path / "packer-manifest.json").read_text())
    first, second, third = document["builds"]
    assert first.pop("build_time") > 1_500_000_000
    assert first == {
        "name": "fake",
        "builder_type": "fake",
        "files": [{"name": "images/web.img", "size": len(DATA)}],
        "artifact_id": "images/web.img",
        "packer_run_uuid": first["packer_run_uuid"],
        "custom_data": {"from": "fake"},
    }
    assert second["files"][0]["name"] == "web.img"
    assert "build_time" not in second
    assert (third["files"], third["artifact_id"]) == (None, "ami-1")
    assert document["last_run_uuid"] == third["packer_run_uuid"]
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", third["packer_run_uuid"])


@pytest.mark.parametrize("content", ["{", "[]", '{"builds": 1}', "\xff"])
def test_what_is_no_manifest_is_left_alone(image: Image, tmp_path: Path, content: str) -> None:
    path = tmp_path / "packer-manifest.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=r"post-processor manifest: .*is no manifest"):
        Manifest()(image)
    assert path.read_text(encoding="latin-1") == content


def out(*options: str) -> dict[str, Any]:
    return {"inline": [f'echo "{option}" >>out' for option in options]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (out("$HARNESS_ARTIFACT"), "{tmp}/images/web.img\n"),
        (out("$PACKER_BUILD_NAME", "$PACKER_BUILDER_TYPE"), "fake\nfake\n"),
        ({"command": "echo one >out"}, "one\n"),
        ({**out("$A"), "environment_vars": ["A=it's b=c"]}, "it's b=c\n"),
        ({**out("$A"), "environment_vars": {"A": Secret("hush-hush")}}, "hush-hush\n"),
        ({"script": "a.py", "environment_vars": ["A=a b"]}, "a.py a b\n"),
        ({"scripts": ["a.py", "a.py"], "environment_vars": ["A=1"]}, "a.py 1\na.py 1\n"),
        ({**out("$0 ${{BASH:+bash}}"), "inline_shebang": "/bin/bash -e"}, "*/script bash\n"),
        (
            {
                **out("$A"),
                "environment_vars": ["A=x y"],
                "execute_command": ["/bin/sh", "-c", "{{.Vars}} B=1 sh {{.Script}}"],
            },
            "x y\n",
        ),
        ({**out("never"), "only_on": ["plan9"]}, ""),
        ({**out("here"), "only_on": [platform.system().lower()]}, "here\n"),
        ({"inline": ["echo x >out; exit 3"], "valid_exit_codes": [3]}, "x\n"),
    ],
)
def test_shell_local(image: Image, tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    (tmp_path / "a.py").write_text(
        "#!/usr/bin/env python3\nimport os\nprint('a.py', os.environ['A'], file=open('out', 'a'))\n"
    )
    if "inline" in options:
        options["inline"] = [
            line.replace("{{", "{").replace("}}", "}") for line in options["inline"]
        ]
    made = ShellLocal(**options)(image)
    assert made.files == image.files
    text = (tmp_path / "out").read_text() if (tmp_path / "out").exists() else ""
    pattern = re.escape(expected.replace("{tmp}", str(tmp_path))).replace(r"\*", ".*")
    assert re.fullmatch(pattern, text)


@pytest.mark.parametrize("more", [{}, {"inline_shebang": "/bin/sh -e"}])
def test_a_failing_command_says_what_it_printed(
    image: Image, capfd: pytest.CaptureFixture[str], more: dict[str, Any]
) -> None:
    with pytest.raises(CommandError, match=r"(?s)exit status 4.*stdout:\n  out\nstderr:\n  err"):
        ShellLocal(inline=["echo out", "echo err >&2", "exit 4"], **more)(image)
    assert capfd.readouterr() == ("out\n", "err\n")
    with pytest.raises(CommandTimeoutError):
        ShellLocal(inline=["sleep 60"], timeout="200ms", **more)(image)


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
    assert Chain(Checksum(), Compress(), ShellLocal(**out("$HARNESS_ARTIFACT")))(image).files == ()
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
