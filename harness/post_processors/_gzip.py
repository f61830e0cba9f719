"""gzip on all cores: as one member, or as the many small ones of BGZF, which can be sought in."""

from __future__ import annotations

import collections
import os
import struct
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 1024 * 1024
BGZF_BLOCK = 0xFF00
"""Bytes of data, so that a member that cannot be compressed has no more than 64 KiB."""
WINDOW = 32 * 1024
"""What a block may refer to of those before it."""
RAW = -15
"""No header, no checksum: deflate alone."""
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Without a time or a name, so that the same data is the same file."""
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class Writer(Protocol):
    """What may be written to, and ended."""

    def write(self, data: bytes, /) -> object: ...

    def close(self) -> object: ...


class Blocks:
    """Gives blocks to threads, and writes what comes of them in order.

    zlib lets other threads run meanwhile.
    """

    def __init__(self, out: IO[bytes], block: int, pack: Callable[[bytes, bytes], bytes]) -> None:
        """``pack`` is given a block and the end of the one before it."""
        self._out, self._block, self._pack = out, block, pack
        cores = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(cores)
        self._most = 2 * cores
        self._pending: collections.deque[Future[bytes]] = collections.deque()
        self._rest = bytearray()
        self._window = b""

    def write(self, data: bytes) -> int:
        self._rest += data
        while len(self._rest) >= self._block:
            self._give(bytes(self._rest[: self._block]))
            del self._rest[: self._block]
        return len(data)

    def close(self) -> None:
        if self._rest:
            self._give(bytes(self._rest))
        while self._pending:
            self._out.write(self._pending.popleft().result())
        self._pool.shutdown()

    def _give(self, block: bytes) -> None:
        self._pending.append(self._pool.submit(self._pack, block, self._window))
        self._window = block[-WINDOW:]
        if len(self._pending) > self._most:
            self._out.write(self._pending.popleft().result())


class Gzip:
    """One gzip member, whose blocks are compressed side by side."""

    def __init__(self, out: IO[bytes], level: int) -> None:
        self._out, self._crc, self._size = out, 0, 0

        def pack(block: bytes, window: bytes) -> bytes:
            deflate = zlib.compressobj(level, zlib.DEFLATED, RAW, 9, 0, window)
            return deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)

        self._blocks = Blocks(out, BLOCK, pack)
        out.write(HEADER)

    def write(self, data: bytes) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        return self._blocks.write(data)

    def close(self) -> None:
        self._blocks.close()
        self._out.write(zlib.compressobj(wbits=RAW).flush())  # an empty block that is the last
        self._out.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))


class Bgzf(Blocks):
    """BGZF: members of at most 64 KiB, each of which says how long it is."""

    def __init__(self, out: IO[bytes], level: int) -> None:
        def pack(block: bytes, window: bytes) -> bytes:
            del window
            deflate = zlib.compressobj(level, zlib.DEFLATED, RAW)
            data = deflate.compress(block) + deflate.flush()
            head = HEADER[:3] + b"\x04" + HEADER[4:]
            extra = struct.pack("<H2sHH", 6, b"BC", 2, len(data) + 25)
            return head + extra + data + struct.pack("<II", zlib.crc32(block), len(block))

        super().__init__(out, BGZF_BLOCK, pack)
        self._file = out

    def close(self) -> None:
        super().close()
        self._file.write(BGZF_END)
