"""A folder of this computer as a tar stream."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from harness.errors import TransferError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

CHUNK = 128 * 1024


class Folder:
    """A folder that is to be sent, as it is when this is made.

    Args:
        root: no symbolic link.
        contents: leave out the folder itself, which may be /tmp on the other side.

    Attributes:
        size: bytes of the stream, unless something changes meanwhile or has a very long name.
    """

    def __init__(self, root: Path, *, contents: bool) -> None:
        self._root = root
        self._paths = list(_walk(str(root)))[contents:]
        self.size = sum(map(_size, self._paths)) + 2 * tarfile.BLOCKSIZE

    def stream(self) -> Iterator[bytes]:
        """The archive, in pieces of some size, since each that is sent has its cost.

        Raises:
            TransferError: something in it is no file, folder or link, or is cut short meanwhile.
        """
        gathered = bytearray()
        for piece in self._pieces():
            gathered += piece
            if len(gathered) >= CHUNK:
                yield bytes(gathered)
                gathered.clear()
        yield bytes(gathered)

    def _pieces(self) -> Iterator[bytes]:
        # GNU's format is what busybox reads too, long names and large files included.
        with tarfile.open(fileobj=io.BytesIO(), mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in self._paths:
                info = _describe(tar, path, os.path.relpath(path, self._root))
                yield info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
                if info.isreg():
                    yield from _padded(path, info.size)
        yield bytes(2 * tarfile.BLOCKSIZE)


def content(file: IO[bytes], size: int) -> Generator[bytes, None, int]:
    """As many bytes as were announced (a log may grow meanwhile); returns how many are missing."""
    while size and (data := file.read(min(CHUNK, size))):
        size -= len(data)
        yield data
    return size


def _describe(tar: tarfile.TarFile, path: str, name: str) -> tarfile.TarInfo:
    info = cast("tarfile.TarInfo | None", tar.gettarinfo(path, name))  # None for a socket
    if info is None or info.isdev():
        raise TransferError(
            f"put: {path} is a socket, a pipe or a device: only files, folders and links can be put"
        )
    info.mode &= 0o777
    info.mtime = int(info.mtime)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _padded(path: str, size: int) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        if (yield from content(file, size)):
            raise TransferError(f"put: {path} was cut short while it was sent")
    yield bytes(-size % tarfile.BLOCKSIZE)


def _walk(path: str) -> Iterator[str]:
    """Each folder with all that it holds before the next: tar then sets its mode and time."""
    yield path
    if Path(path).is_dir() and not Path(path).is_symlink():
        for entry in sorted(Path(path).iterdir()):
            yield from _walk(str(entry))


def _size(path: str) -> int:
    status = os.lstat(path)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE
