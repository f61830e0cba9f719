"""One compressed file, or an archive, of an artifact's files."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar

from harness.errors import ToolMissingError
from harness.options import Range
from harness.post_processors._gzip import Bgzf, Gzip
from harness.post_processors.base import PostProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from harness.post_processors._gzip import Writer
    from harness.post_processors.artifact import Artifact, Run

ARCHIVES = ("tar", "zip")
CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Compress(PostProcessor):
    """Compresses an artifact's files, gzip on all cores.

    The endings of ``output`` say how, or ``format``: ``gz``, ``lz4`` and ``bgzf`` hold one file,
    ``tar`` and ``zip`` several, ``tar.gz`` and the like are both; anything else is ``tar.gz``.
    The same files give the same bytes: archives have no times and no owners. lz4 wants the
    package of that name. An image that has no file here, as in a cloud, is handed on as it is.

    Args:
        output: the file; ``{{.BuildName}}`` and ``{{.BuilderType}}`` may be in its name. A file
            that is there is replaced. Default: the first file's name and ``.tar.gz``, or the
            ``format``, beside it.
        format: instead of the endings of ``output``.
        compression_level: from 1 (fast) to 9 (small); default 6. For lz4 from 0 to 9, default 0.

    Example:
        `Compress(output="images/{{.BuildName}}.qcow2.gz", keep_input_artifact=False)`
    """

    type: ClassVar[str] = "compress"
    keeps_input: ClassVar[bool] = False
    ranges: ClassVar[Mapping[str, Range]] = {"compression_level": Range(0, 9)}
    packer_defaults: ClassVar[Mapping[str, Any]] = {
        "keep_input_artifact": False,
        "output": "packer_{{.BuildName}}_{{.BuilderType}}",
    }

    output: str = ""
    format: str = ""
    compression_level: int = 0

    def apply(self, artifact: Artifact, run: Run) -> Artifact:
        if not artifact.files:
            return artifact
        default = f"{artifact.files[0]}.{self.format or 'tar.gz'}"
        path = self.target(self.output or default, artifact, run)
        archive, algorithm = how(f"{path.name}.{self.format}" if self.format else path.name)
        self._check(path, artifact, run, archive)
        partial = path.with_name(f".{path.name}.partial")
        try:
            with partial.open("wb") as out:
                if archive == "zip":
                    self._zip(out, artifact, run)
                else:
                    with self._compressed(algorithm, out) as sink:
                        (_tar if archive else _copy)(artifact.files, sink)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return dataclasses.replace(artifact, id="", files=(path,))

    def _check(self, path: Path, artifact: Artifact, run: Run, archive: str) -> None:
        if path in artifact.files:
            raise self.error(f"output={self.output!r} is {run.shown(path)}, which it is made from")
        if not archive and len(artifact.files) > 1:
            names = ", ".join(map(run.shown, artifact.files))
            raise self.error(
                f"output={self.output!r} holds one file, and there are {len(artifact.files)} "
                f"({names}): write a name that ends in .tar.gz or .zip"
            )

    @contextlib.contextmanager
    def _compressed(self, algorithm: str, out: IO[bytes]) -> Iterator[Writer]:
        if algorithm == "":
            yield out
            return
        writer = self._writer(algorithm, out)
        try:
            yield writer
        finally:
            writer.close()

    def _writer(self, algorithm: str, out: IO[bytes]) -> Writer:
        if algorithm == "lz4":
            return self._lz4(out)
        return (Bgzf if algorithm == "bgzf" else Gzip)(out, self._level)

    def _lz4(self, out: IO[bytes]) -> Writer:
        try:
            import lz4.frame  # type: ignore[import-untyped]  # it says nothing of its types
        except ImportError:
            raise ToolMissingError(
                f"post-processor {self.name or self.type}: lz4 is not installed: "
                'pip install "pytest-image-harness[lz4]", or choose gz'
            ) from None
        opened: Writer = lz4.frame.LZ4FrameFile(
            out, mode="wb", compression_level=self.compression_level
        )
        return opened

    @property
    def _level(self) -> int:
        return self.compression_level or 6

    def _zip(self, out: IO[bytes], artifact: Artifact, run: Run) -> None:
        with zipfile.ZipFile(out, "w") as archive:
            for path in artifact.files:
                entry = zipfile.ZipInfo(run.shown(path).lstrip("/"))
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = path.stat().st_mode << 16
                entry._compresslevel = self._level  # type: ignore[attr-defined]  # noqa: SLF001 - public from Python 3.13 on
                with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as sink:
                    shutil.copyfileobj(file, sink, CHUNK)


def how(name: str) -> tuple[str, str]:
    """The archive and the compression that a name's last two endings mean; empty: none."""
    *_, before, last = ["", "", *re.findall(r"\.([a-z0-9]+)", name)]
    if last in ARCHIVES:
        return last, ""
    archive = "tar" if before == "tar" else ""
    return (archive, last) if last in ("gz", "lz4", "bgzf") else ("tar", "gz")


def _copy(files: tuple[Path, ...], sink: Writer) -> None:
    with files[0].open("rb") as file:
        while data := file.read(CHUNK):
            sink.write(data)


def _tar(files: tuple[Path, ...], sink: Writer) -> None:
    with tarfile.open(fileobj=_Stream(sink), mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for path in files:
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = path.stat().st_size, path.stat().st_mode & 0o777
            entry.uname = entry.gname = "root"
            with path.open("rb") as file:
                archive.addfile(entry, file)


class _Stream(io.RawIOBase):
    """As much of a file as tarfile asks for."""

    def __init__(self, sink: Writer) -> None:
        self._sink = sink

    def write(self, data: Any, /) -> int:
        self._sink.write(data)
        return len(data)
