"""A file over HTTP: from whichever mirror has it, on from where a connection broke."""

from __future__ import annotations

import contextlib
import errno
import http.client
import re
import shutil
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from harness.errors import SourceError
from harness.units import human
from harness.urls import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from http.client import HTTPResponse
    from pathlib import Path

    from harness.cancel import CancelToken

T = TypeVar("T")

STALL_SECONDS = 30.0
"""A connection on which nothing comes for so long counts as broken."""
PAUSES = (1.0, 2.0, 4.0)
"""Seconds before another round of the mirrors, after each in a row that brought nothing."""
_PIECE = 256 * 1024
_TEXT_LIMIT = 4 << 20
_PARTIAL, _UNSATISFIABLE = 206, 416
_NO = {400, 401, 402, 403, 404, 405, 406, 407, 410, 451, 501, 505}
"""What a server will say again, however often it is asked."""


class _RefusedError(Exception):
    """A mirror does not have the file; asking it again is pointless."""


def fetch(
    urls: Sequence[str],
    path: Path,
    cancel: CancelToken,
    progress: Callable[[int, int | None], None],
) -> bool:
    """Download a file, and say whether it is made of parts from several connections.

    Args:
        urls: its mirrors, in order of preference.
        path: where it goes; what is there already counts as its beginning. What has come stays
            when this fails, unless the disk is full.
        cancel: looked at all the time, whatever the network does.
        progress: called with the bytes that are there and, where the server tells, with all.

    Raises:
        SourceError: no mirror has it, none can be reached, or the disk is full.
        CancelledError: the run is being stopped.
    """
    return cancel.run(_Transfer(path, cancel, progress, list(urls), {}).run)


def text(url: str, cancel: CancelToken) -> str:
    """A small text file.

    Raises:
        SourceError: it cannot be had.
    """
    return cancel.run(lambda: _ask([url], _text))


def version(urls: Sequence[str], cancel: CancelToken) -> str:
    """What the first mirror that answers says of the file; it changes when the file does.

    Raises:
        SourceError: none answers.
    """
    fields = ("ETag", "Last-Modified", "Content-Length")
    return cancel.run(
        lambda: _ask(urls, lambda answer: " ".join(answer.headers.get(f, "") for f in fields))
    )


@dataclass
class _Transfer:
    """One file on its way."""

    path: Path
    cancel: CancelToken
    progress: Callable[[int, int | None], None]
    urls: list[str]
    reasons: dict[str, str]
    continued: bool = False

    def run(self) -> bool:
        pauses, most = iter(PAUSES), self._size()
        while True:
            if self._try_each():
                return self.continued
            if self._size() > most:
                pauses, most = iter(PAUSES), self._size()
            pause = next(pauses, None)
            if pause is None or not self.urls:
                raise SourceError(self._failure())
            self.cancel.sleep(pause)

    def _try_each(self) -> bool:
        for url in list(self.urls):
            self.cancel.check()
            try:
                with self._disk_has_room():
                    self._download(url)
            except _RefusedError as error:
                self.reasons[url] = str(error)
                self.urls.remove(url)
            except (OSError, http.client.HTTPException) as error:
                self.reasons[url] = _reason(error)
            else:
                return True
        return False

    def _download(self, url: str) -> None:
        """Append what one connection brings, or begin anew where the server cannot go on."""
        have = self._size()
        try:
            answer = _open(url, {"Range": f"bytes={have}-"} if have else {})
        except urllib.error.HTTPError as error:
            if error.code != _UNSATISFIABLE:
                raise
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return  # that was all of it
            self.path.unlink()
            raise
        with answer, self._opened() as file:
            done, total = _extent(answer, have)
            self.continued = self.continued or done > 0
            file.truncate(done)
            self._check_room((total or 0) - done)
            while piece := answer.read1(_PIECE):
                self.cancel.check()
                file.write(piece)
                done += len(piece)
                self.progress(done, total)
        if total is not None and done < total:
            raise ConnectionError(f"the connection ended after {done} of {total} bytes")

    def _opened(self) -> BinaryIO:
        self.cancel.check()  # a run that was stopped meanwhile has given the file up
        return self.path.open("ab")

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _check_room(self, wanted: int) -> None:
        if wanted > shutil.disk_usage(self.path.parent).free:
            raise OSError(errno.ENOSPC, f"{human(wanted)} are to come")

    @contextlib.contextmanager
    def _disk_has_room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.path.unlink()  # or the disk would stay full
            free = human(shutil.disk_usage(self.path.parent).free)
            raise SourceError(
                f"the disk is too small for {shown(self.urls[0])}: {free} are free in "
                f"{self.path.parent} ({error.strerror}); free some, or put the cache "
                "elsewhere with the environment variable XDG_CACHE_HOME"
            ) from error

    def _failure(self) -> str:
        kept = self._size()
        end = f"\n{human(kept)} are kept; the next run goes on from there" if kept else ""
        return f"could not be downloaded:\n{_listed(self.reasons)}{end}"


def _ask(urls: Sequence[str], read: Callable[[HTTPResponse], T]) -> T:
    """What ``read`` makes of the first answer."""
    reasons = {}
    for url in urls:
        try:
            with _open(url, {}) as answer:
                return read(answer)
        except (_RefusedError, OSError, http.client.HTTPException) as error:
            reasons[url] = _reason(error)
    raise SourceError(f"could not be read:\n{_listed(reasons)}")


def _text(answer: HTTPResponse) -> str:
    return answer.read(_TEXT_LIMIT).decode(errors="replace")


def _open(url: str, headers: dict[str, str]) -> HTTPResponse:
    """A 2xx answer; proxies and certificates are the environment's."""
    headers = {"User-Agent": "pytest-image-harness", **headers}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - callers give HTTP only
    try:
        answer: HTTPResponse = urllib.request.build_opener().open(request, timeout=STALL_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _NO:
            raise _RefusedError(_reason(error)) from error
        raise
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise _RefusedError(_reason(error)) from error
        raise
    return answer


def _extent(answer: HTTPResponse, have: int) -> tuple[int, int | None]:
    """Where in the file the body begins, and how long the file is if the server tells."""
    if answer.status != _PARTIAL:
        length = answer.headers.get("Content-Length")
        return 0, int(length) if length else None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if not match or int(match[1]) != have:
        raise _RefusedError("it answered with another range of the file than was asked for")
    return have, None if match[2] == "*" else int(match[2])


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    if isinstance(error, http.client.HTTPException):
        return f"no HTTP answer ({type(error).__name__})"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _listed(reasons: dict[str, str]) -> str:
    return "\n".join(f"  {shown(url)}: {reason}" for url, reason in reasons.items())
