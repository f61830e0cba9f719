"""What a call fetches from a machine, as a stream: recorded as it comes, and played again."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from harness.model import CommandResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.transfer import Source, Streamer

LARGEST = 16 << 20
"""Bytes that are kept of one stream; of a longer one nothing is."""


class Recorder:
    """A connection whose stream is noted."""

    def __init__(self, connection: Streamer) -> None:
        self._connection = connection
        self._noted = bytearray()
        self._is_too_large = False

    @property
    def data(self) -> bytes | None:
        """What came; None: more than `LARGEST`."""
        return None if self._is_too_large else bytes(self._noted)

    @contextlib.contextmanager
    def stream(
        self, command: str, *, text: str | None = None, timeout: float | None = None
    ) -> Iterator[Source]:
        self._noted.clear()  # of an attempt before this one
        with self._connection.stream(command, text=text, timeout=timeout) as source:
            yield _Noted(source, self)

    def note(self, data: bytes) -> None:
        self._is_too_large = self._is_too_large or len(self._noted) + len(data) > LARGEST
        if not self._is_too_large:
            self._noted += data


class _Noted:
    def __init__(self, source: Source, recorder: Recorder) -> None:
        self._source = source
        self._recorder = recorder

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._recorder.note(data)
        return data

    def finish(self) -> CommandResult:
        return self._source.finish()


class Player:
    """In the place of a connection: the stream that was recorded, in the order of its reading."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    @contextlib.contextmanager
    def stream(
        self, command: str, *, text: str | None = None, timeout: float | None = None
    ) -> Iterator[Source]:
        del command, text, timeout
        yield self

    def read(self, size: int = -1, /) -> bytes:
        return self._rest.read(size)

    def finish(self) -> CommandResult:
        return CommandResult("", 0)
