"""Read-only disks made of files: what cloud-init reads, and what a build's author puts on a CD."""

from __future__ import annotations

import glob
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.secret import reveal
from harness.sources.qemu.disk import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pycdlib import PyCdlib

    from harness.secret import Secret

LABEL_LENGTH = 32
NAME_LENGTH = 64
SEED_LABEL = "cidata"
"""cloud-init reads the disk with this label."""


@dataclass(frozen=True)
class Disc:
    """An ISO 9660 disk: texts and files by their paths on it. No files: there is none."""

    label: str
    files: Mapping[str, Path | bytes]

    @property
    def digest(self) -> str:
        """A hash of all that a guest can read."""
        state = hashlib.sha256(self.label.encode())
        for name, content in sorted(self.files.items()):
            data = content if isinstance(content, bytes) else content.read_bytes()
            state.update(f"\0{name}\0{hashlib.sha256(data).hexdigest()}".encode())
        return state.hexdigest()

    def write(self, path: Path) -> list[str]:
        """Write it to a file that only its owner may read; what QEMU is told of that.

        It is no CD-ROM drive: kernels made for clouds have no driver for one. Names are in Rock
        Ridge and Joliet.
        """
        import pycdlib

        iso = pycdlib.PyCdlib()
        iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=self.label)
        folders = {PurePosixPath(): ""}
        for number, (name, content) in enumerate(self.files.items()):
            where = PurePosixPath(name)
            _add_folders(iso, where, folders)
            at = f"{folders[where.parent]}/F{number}.;1"
            if isinstance(content, Path):
                iso.add_file(str(content), at, rr_name=where.name, joliet_path=f"/{where}")
            else:
                data = io.BytesIO(content)
                iso.add_fp(data, len(content), at, rr_name=where.name, joliet_path=f"/{where}")
        path.touch(mode=0o600)
        iso.write(str(path))
        iso.close()
        return ["-drive", f"file={escaped(path)},if=virtio,format=raw,readonly=on"]


def collect(
    cd_files: Sequence[str | Path], cd_content: Mapping[str, str | Secret], directory: Path
) -> dict[str, Path | bytes]:
    """What goes on a CD, by its path there.

    Args:
        cd_files: files and folders, patterns allowed; a relative path starts at ``directory``. As
            with rsync, a folder comes with its name, and one with a trailing slash without.
        cd_content: texts by their paths on the CD.
        directory: the folder of the build's file.

    Raises:
        ConfigurationError: a path matches nothing, or a name is too long for a CD.
    """
    files: dict[str, Path | bytes] = {}
    for pattern in map(str, cd_files):
        found = sorted(glob.glob(pattern, root_dir=directory))  # noqa: PTH207 - keeps the slash
        if not found:
            raise ConfigurationError(
                f"cd_files: {pattern!r} matches nothing (relative paths start at {directory})"
            )
        for name in found:
            files.update(_files(directory / name, contents=name.endswith("/")))
    for name, text in cd_content.items():
        files[_plain("cd_content", name)] = reveal(text).encode()
    for name in files:
        if any(len(part) > NAME_LENGTH for part in PurePosixPath(name).parts):
            raise ConfigurationError(f"a name on a CD has at most {NAME_LENGTH} characters: {name}")
    return files


def _add_folders(iso: PyCdlib, where: PurePosixPath, folders: dict[PurePosixPath, str]) -> None:
    """Add the folders above a file; ``folders`` has their ISO 9660 paths."""
    for folder in reversed(where.parents):
        if folder not in folders:
            folders[folder] = f"{folders[folder.parent]}/D{len(folders)}"
            iso.add_directory(folders[folder], rr_name=folder.name, joliet_path=f"/{folder}")


def _files(path: Path, *, contents: bool) -> Iterator[tuple[str, Path]]:
    """Each file at or below a path, links followed, by its path on the CD."""
    if not path.is_dir():
        yield path.name, path
        return
    base = path if contents else path.parent
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(base).as_posix(), file


def _plain(option: str, name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ConfigurationError(f"{option}: {name!r} is no path below a CD's root")
    return str(PurePosixPath(name))
