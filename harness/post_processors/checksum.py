"""Checksums of an artifact's files."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.post_processors.base import PostProcessor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from harness.post_processors.artifact import Artifact, Run

ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")


@dataclass(frozen=True, kw_only=True)
class Checksum(PostProcessor):
    """Writes checksums into files, which ``sha256sum --check`` reads in the image's folder.

    An image that has no file here, as in a cloud, has no checksum, and nothing is written.

    Args:
        checksum_types: what to compute: md5, sha1, sha224, sha256, sha384, sha512; default sha256.
        output: the file; in its name may be ``{{.ChecksumType}}``, ``{{.BuildName}}`` and
            ``{{.BuilderType}}``. What is in it stays, but for an older checksum of a file of the
            same name. Default: ``<file>.sha256`` beside the first file.

    Example:
        `Checksum(checksum_types=["sha256", "sha512"], output="images/{{.ChecksumType}}SUMS")`
    """

    type: ClassVar[str] = "checksum"
    insists: ClassVar[bool] = True
    instead: ClassVar[Mapping[str, str]] = {"types": "write checksum_types=, as in Packer"}
    packer_defaults: ClassVar[Mapping[str, Any]] = {
        "checksum_types": ("md5",),
        "output": "packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum",
    }

    checksum_types: Collection[str] = ("sha256",)
    output: str = ""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for name in self.checksum_types or ("nothing",):
            if name not in ALGORITHMS:
                yield f"checksum_types has {name!r}: choose of {', '.join(ALGORITHMS)}"

    def apply(self, artifact: Artifact, run: Run) -> Artifact:
        written: dict[Path, None] = {}
        for kind in self.checksum_types if artifact.files else ():
            default = f"{artifact.files[0]}.{kind}"
            path = self.target(self.output or default, artifact, run, ChecksumType=kind)
            digests = {file.name: _digest(file, kind) for file in artifact.files}
            with run.alone():
                _write(path, digests)
            written[path] = None
        if not written:
            return artifact
        return dataclasses.replace(artifact, id="", files=(*artifact.files, *written))


def _digest(file: Path, algorithm: str) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, algorithm).hexdigest()


def _write(path: Path, digests: Mapping[str, str]) -> None:
    """Add lines; one for the same name and algorithm takes the older one's place."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    replaced = {(len(digest), name) for name, digest in digests.items()}
    kept = [line for line in lines if _key(line) not in replaced]
    added = [f"{digest}\t{name}" for name, digest in digests.items()]
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(f"{line}\n" for line in (*kept, *added)), encoding="utf-8")
    partial.replace(path)


def _key(line: str) -> tuple[int, str]:
    digest, _, name = line.partition("\t")
    return len(digest), name
