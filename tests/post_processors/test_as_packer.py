"""Post-processors against Packer's own: the same options, the same files."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.model import Image
from harness.post_processors import TYPES, Chain, Run
from harness.post_processors.chain import remove_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="needs Packer")

CONTENT = "hello, hello, world\n" * 50

KEEP: dict[str, Any] = {"keep_input_artifact": True}
DROP: dict[str, Any] = {"keep_input_artifact": False}
CHECKSUM: dict[str, Any] = {"type": "checksum"}
MANIFEST: dict[str, Any] = {"type": "manifest"}


def compress(output: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "compress", **({"output": output} if output else {}), **more}


def shell(*commands: str, **more: Any) -> dict[str, Any]:
    return {"type": "shell-local", "inline": commands, **more}


CASES: dict[str, list[list[dict[str, Any]]]] = {
    "a checksum": [[CHECKSUM]],
    "checksums": [
        [{**CHECKSUM, "checksum_types": ["sha1", "sha256", "sha512"], "output": "sums/all"}],
        [{**CHECKSUM, "checksum_types": ["sha224", "sha384"], "output": "{{.ChecksumType}}-x"}],
    ],
    "a checksum that does not keep": [[{**CHECKSUM, **DROP}]],
    "a manifest": [[{**MANIFEST, "custom_data": {"a": "b", "c": "d"}}]],
    "manifests": [[MANIFEST], [{**MANIFEST, "strip_path": True, "strip_time": True}]],
    "a manifest of checksums": [[CHECKSUM, {**MANIFEST, "output": "m.json"}]],
    "compressed": [[compress()]],
    "compressed and kept": [[compress(**KEEP)]],
    "compressed, with another that keeps": [[compress("z/a.gz")], [MANIFEST]],
    "compressed, with another that does not": [[compress("a.gz")], [compress("a.tar")]],
    "kinds": [
        [compress("a.gz", **KEEP), MANIFEST],
        [compress("a.zip"), MANIFEST],
        [compress("a.tar"), MANIFEST],
        [compress("{{.BuildName}}.tar.gz"), MANIFEST],
        [compress("{{.BuilderType}}", format="zip"), MANIFEST],
        [compress("b", format="gz"), MANIFEST],
        [compress("a.bgzf", compression_level=9), MANIFEST],
        [compress("a.what"), MANIFEST],
    ],
    "a chain": [[compress("a.gz"), compress("a.zip"), MANIFEST]],
    "a chain that keeps": [[compress("a.gz", **KEEP), compress("b.tar", **KEEP), MANIFEST]],
    "several files for one": [[CHECKSUM, compress("a.gz")]],
    "commands": [
        [shell("echo $PACKER_BUILD_NAME $PACKER_BUILDER_TYPE $A >s"), MANIFEST],
        [{**shell("echo $0 >t", inline_shebang="/bin/sh -ex")}],
        [
            shell(
                "echo $A >u",
                environment_vars=["A=b c"],
                execute_command=["/bin/sh", "-c", "export {{.Vars}}; echo x >v; sh {{.Script}}"],
            )
        ],
    ],
    "commands that fail": [[shell("echo one >one", "exit 3"), MANIFEST], [CHECKSUM]],
    "commands that may": [[shell("exit 3", valid_exit_codes=[3]), MANIFEST]],
    "artifice": [
        [
            shell("echo x >x.ova", "echo y >y.ova"),
            {"type": "artifice", "files": ["*.ova"]},
            MANIFEST,
        ]
    ],
    "compressed for some": [[{**compress("a.gz"), "only": ["other"]}], [MANIFEST]],
    "compressed but for some": [[{**compress("a.gz"), "except": ["web"]}], [MANIFEST]],
}


def packer(folder: Path, chains: list[list[dict[str, Any]]]) -> bool:
    """Whether it succeeded."""
    builders = [
        {"type": "file", "name": name, "content": CONTENT, "target": f"{name}/web.img"}
        for name in ("web", "other")
    ]
    template = {"builders": builders, "post-processors": chains}
    (folder / "template.json").write_text(json.dumps(template))
    done = subprocess.run(
        ["packer", "build", "-only=web", "template.json"],
        cwd=folder,
        env={**os.environ, "CHECKPOINT_DISABLE": "1", "PACKER_CONFIG_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / "template.json").unlink()
    assert done.returncode == 0 or "Post-processor failed" in done.stdout + done.stderr
    return done.returncode == 0


def ours(folder: Path, chains: list[list[dict[str, Any]]]) -> bool:
    """The same; the folder is the current one."""
    path = folder / "web" / "web.img"
    path.parent.mkdir()
    path.write_text(CONTENT)
    path.chmod(0o600)
    image = Image("File", "any.web", "file", "raw", len(CONTENT), "sha256:0", path)
    made = [Chain(*(translated(**options) for options in chain)) for chain in chains]
    wishes, succeeded = [], True
    for chain in made:
        try:
            wishes.append(chain.process(image, Run())[1])
        except HarnessError:
            succeeded = False
    if succeeded and False in wishes and True not in wishes:
        remove_image(image)
    return succeeded


def translated(type: str, **options: Any) -> Any:
    options = {"except_" if name == "except" else name: v for name, v in options.items()}
    return TYPES[type](**{**TYPES[type].packer_defaults, **options})


def contents(folder: Path) -> dict[str, object]:
    """What is in each file, as far as it must be the same; Packer leaves some that are empty."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    found = {str(p.relative_to(folder)): content(p.read_bytes()) for p in paths}
    return {name: what for name, what in found.items() if what}


def content(data: bytes) -> object:
    if data[:2] == b"\x1f\x8b":
        return content(gzip.decompress(data))
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            return {name: content(zipped.read(name)) for name in zipped.namelist()}
    if data[257:262] == b"ustar":
        return list(members(data))
    if b"last_run_uuid" in data:
        return manifest(json.loads(data))
    return re.sub("/tmp/.*", "a script", data.decode())


def members(data: bytes) -> Iterator[object]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            yield member.name, member.mode, member.mtime, content(file.read())


def manifest(document: dict[str, Any]) -> object:
    """Without what is each run's own; and deflate may be done in more than one way."""
    document["last_run_uuid"] = "a run"
    for entry in document["builds"]:
        entry["packer_run_uuid"] = "a run"
        entry["build_time"] = "build_time" in entry
        for file in entry["files"]:
            compressed = file["name"].rpartition(".")[2] not in ("img", "ova", "checksum")
            file["size"] = file["size"] > 0 if compressed else file["size"]
    return document


@pytest.mark.parametrize("case", CASES)
def test_the_same_options_make_the_same_files(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    theirs, own = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, own):
        folder.mkdir()
    succeeded = packer(theirs, CASES[case])
    monkeypatch.chdir(own)
    assert ours(own, CASES[case]) == succeeded
    assert contents(own) == contents(theirs)
