"""The wait until an SSH server says its first word.

A virtual machine's forwarded port accepts connections before the guest has an address: what is
sent then is lost and comes again seconds later, or the connection is closed at once. Hence many
attempts side by side, and none is given up early: a slow guest needs more than a second for its
first word.
"""

from __future__ import annotations

import errno
import itertools
import os
import selectors
import socket
import threading
import time
from concurrent import futures
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self, TypeVar

from harness.errors import CancelledError, ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.model import Endpoint

T = TypeVar("T")

BANNER = b"SSH-"
PAUSE = 0.1
"""Seconds from an attempt that failed to the next one, and between two looks at the way out."""
OVERLAP = 2.0
"""Seconds of silence after which a further attempt is made beside the silent ones. Each may start
a process in the guest once it listens, when an emulated guest has least time for it."""
PATIENCE = 10.0
"""Seconds after which a silent attempt is given up."""


def never() -> bool:
    return False


def nothing_wrong() -> None:
    return None


def nothing(result: object) -> None:
    del result


class Wait:
    """A deadline and everything else that may end a wait.

    Args:
        endpoint: what is waited for.
        timeout: seconds.
        cancelled: true when the run is being stopped.
        alive: None, or a sentence why waiting is pointless.
        ready: true from when the server is known to listen; what is silent then came too early.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        timeout: float,
        cancelled: Callable[[], bool] = never,
        alive: Callable[[], str | None] = nothing_wrong,
        ready: Callable[[], bool] = never,
    ) -> None:
        self.endpoint = endpoint
        self.seen = "nothing was tried"
        """What was seen last, for the error."""
        self._timeout = timeout
        self._failures = 0
        self._start = time.monotonic()
        self._cancelled = cancelled
        self._alive = alive
        self.ready = ready

    def check(self) -> None:
        """Raise what ends the wait, if anything does.

        Raises:
            CancelledError: the run is being stopped.
            ConnectError: the machine is not alive, or the deadline has passed.
        """
        waited = time.monotonic() - self._start
        if self._cancelled():
            raise CancelledError(f"the run is being stopped: no longer waiting for {self._target}")
        if reason := self._alive():
            raise ConnectError(
                f"{self._target}: {reason} (after {waited:.0f} s; before: {self.seen})"
            )
        if waited > self._timeout:
            raise ConnectError(f"{self._target}: no login after {waited:.0f} s: {self.seen}")

    def count_failure(self) -> None:
        """A server was there and did not let us in.

        Raises:
            ConnectError: it was the last of the attempts that the endpoint allows.
        """
        self._failures += 1
        if self._failures == self.endpoint.handshake_attempts:
            raise ConnectError(
                f"{self._target}: no login after ssh_handshake_attempts={self._failures}: "
                f"{self.seen}"
            )

    def toward(self, endpoint: Endpoint) -> Wait:
        """A wait for another server that ends when this one does."""
        left = self._start + self._timeout - time.monotonic()
        return Wait(endpoint, left, self._cancelled, self._alive)

    def until(self, done: Callable[[float], bool]) -> None:
        """Wait until ``done``, which may itself wait for the seconds that it is given."""
        while not done(PAUSE):
            self.check()

    def during(self, work: Callable[[], T], discard: Callable[[T], None] = nothing) -> T:
        """Do what blocks, in a thread of its own.

        Args:
            work: what to do.
            discard: what is done with its result if the wait is over first.
        """
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised below
                future.set_exception(error)

        def drop(late: Future[T]) -> None:
            if late.exception() is None:
                discard(late.result())

        threading.Thread(target=run, daemon=True).start()
        try:
            self.until(lambda seconds: bool(futures.wait([future], seconds).done))
        except BaseException:
            future.add_done_callback(drop)
            raise
        return future.result()

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(PAUSE, left))

    @property
    def _target(self) -> str:
        return f"ssh {self.endpoint.username}@{self.endpoint.host}:{self.endpoint.port}"


def first_to_answer(wait: Wait) -> socket.socket:
    """A connection on which the server has said something; the caller owns it.

    Raises:
        CancelledError, ConnectError: see `Wait.check`.
    """
    with _Attempts(wait) as attempts:
        due, known_ready = time.monotonic(), False
        while True:
            wait.check()
            if not known_ready and wait.ready():
                known_ready, due = True, time.monotonic()
                attempts.drop_all()
            if time.monotonic() >= due:
                due = time.monotonic() + (OVERLAP if attempts.start() else PAUSE)
            for attempt in attempts.ready(min(PAUSE, max(0, due - time.monotonic()))):
                if attempts.has_answered(attempt):
                    return attempt
                due = min(due, time.monotonic() + PAUSE)


class _Attempts:
    """Connections that have not said anything yet; closed at the end, but the one that did."""

    def __init__(self, wait: Wait) -> None:
        self._wait = wait
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, float] = {}
        self._addresses: Iterator[tuple[int, Any]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop_all()
        self._selector.close()

    def drop_all(self) -> None:
        for attempt in list(self._open):
            self._drop(attempt)

    def start(self) -> bool:
        """Start one more attempt."""
        for attempt, since in list(self._open.items()):
            self._wait.seen = _silence(attempt)
            if time.monotonic() - since > PATIENCE:
                self._drop(attempt)
        try:
            attempt = self._begin()
        except OSError as error:
            self._wait.seen = _failure(error)
            return False
        self._selector.register(attempt, selectors.EVENT_READ)
        self._open[attempt] = time.monotonic()
        return True

    def _begin(self) -> socket.socket:
        self._addresses = self._addresses or self._resolve()
        family, address = next(self._addresses)
        attempt = socket.socket(family, socket.SOCK_STREAM)
        attempt.setblocking(False)
        code = attempt.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            attempt.close()
            raise OSError(code, os.strerror(code))
        return attempt

    def ready(self, timeout: float) -> Iterator[socket.socket]:
        for key, _ in self._selector.select(timeout):
            assert isinstance(key.fileobj, socket.socket)
            yield key.fileobj

    def has_answered(self, attempt: socket.socket) -> bool:
        """Whether an SSH server has begun to speak on it; if it failed, it is closed."""
        try:
            data = attempt.recv(200, socket.MSG_PEEK)
            if data and data.startswith(BANNER[: len(data)]):
                self._forget(attempt)
                attempt.setblocking(True)
                return True
            self._wait.seen = (
                f"it answered, but not as an SSH server: {data.splitlines()[0]!r}"
                if data
                else "the connection was accepted and closed again: no SSH banner came"
            )
        except BlockingIOError:
            return False
        except OSError as error:
            self._wait.seen = _failure(error)
        self._drop(attempt)
        return False

    def _resolve(self) -> Iterator[tuple[int, Any]]:
        endpoint = self._wait.endpoint
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        return itertools.cycle((family, address) for family, _, _, _, address in found)

    def _drop(self, attempt: socket.socket) -> None:
        self._forget(attempt)
        attempt.close()

    def _forget(self, attempt: socket.socket) -> None:
        self._selector.unregister(attempt)
        del self._open[attempt]


def _failure(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens there ({error})"
    return f"the connection failed ({error})"


def _silence(attempt: socket.socket) -> str:
    try:
        attempt.getpeername()
    except OSError:
        return "no answer to the connection request: wrong address, or a firewall?"
    return "the connection was accepted, but no SSH banner came"
