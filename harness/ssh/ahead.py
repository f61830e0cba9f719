"""Sessions begun before anybody needs them, so that a command costs one round trip.

A server opens a session in one, and grants it no window for data before something runs there, in
another. So while a command runs, a shell is started that waits for the next one.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

from harness import remote_shell

if TYPE_CHECKING:
    from collections.abc import Callable

    import paramiko

    from harness.ssh.transport import Transport

    Begun = tuple[paramiko.Channel, str]
    """A channel, and the token of the line that its login shell was given."""

READY = 2
"""Sessions begun ahead: each takes two round trips, in which two commands may be done."""
OPEN_TIMEOUT = 15.0


class Ahead:
    """What is begun ahead of time. Best effort: where there is nothing, nothing is said."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: deque[Future[Begun]] = deque()

    def prepare(self, transport: Transport) -> None:
        """Begin as many as are missing; returns at once."""
        with self._lock:
            while len(self._begun) < READY:
                future: Future[Begun] = Future()
                self._begun.append(future)
                threading.Thread(target=_fulfil, args=(future, transport), daemon=True).start()

    def take(self) -> Begun | None:
        """One that lives, waited for if it is on its way."""
        while (future := self._next()) is not None:
            with contextlib.suppress(Exception):
                channel, token = future.result()
                if not (channel.exit_status_ready() or channel.eof_received):  # or closed
                    channel.sendall(remote_shell.begin(token))
                    return channel, token
                channel.close()
        return None

    def _next(self) -> Future[Begun] | None:
        with self._lock:
            return self._begun.popleft() if self._begun else None


def begin(channel: paramiko.Channel, opening: Callable[[str], str], *, pty: bool = False) -> Begun:
    """Give the login shell of a new session a line of `remote_shell`."""
    token = secrets.token_hex(16)
    if pty:
        channel.get_pty(term="dumb")
    channel.exec_command(opening(token))
    return channel, token


def _fulfil(future: Future[Begun], transport: Transport) -> None:
    try:
        channel = transport.open_session(timeout=OPEN_TIMEOUT)
        future.set_result(begin(channel, remote_shell.opening_ahead))
    except Exception as error:  # noqa: BLE001 - whoever takes it does without
        future.set_exception(error)
