"""The logins of one connection, and the channels on them."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import TYPE_CHECKING

import paramiko

from harness import remote_shell
from harness.errors import DisconnectedError
from harness.ssh.ahead import OPEN_TIMEOUT, Ahead, begin
from harness.ssh.login import log_in
from harness.ssh.transport import hang_up
from harness.ssh.wait import Wait, never

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import Endpoint
    from harness.ssh.ahead import Begun
    from harness.ssh.transport import Transport

    Opening = Callable[[str], str]

LOGIN_TIMEOUT = 60.0
REASON_TIMEOUT = 0.3


class Sessions:
    """Starts commands; a server that allows no more of them on one login gets another.

    Args:
        endpoint: where the logins are.
        first: one of them.
        cancelled: see `Wait`.
        alive: see `Wait`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        first: Transport,
        cancelled: Callable[[], bool],
        alive: Callable[[], str | None],
    ) -> None:
        self.endpoint = endpoint
        self._transports = [first]
        self._cancelled = cancelled
        self._alive = alive
        self._lock = threading.Lock()
        self._ahead = Ahead()
        first.alive = alive

    @property
    def active(self) -> bool:
        return self._transports[0].is_active()

    def lost(self) -> str:
        """Why the connection is of no use any more, as far as anybody knows."""
        if not self.active:
            # A process may be known to have ended a moment later than its connection's end.
            deadline = time.monotonic() + REASON_TIMEOUT
            while not self._transports[0].lost and time.monotonic() < deadline:
                self._transports[0].lost = self._alive() or ""
                time.sleep(0.02)
        return self._transports[0].lost

    def start(
        self,
        command: str,
        opening: Opening = remote_shell.opening,
        *,
        pty: bool = False,
        timeout: float | None = None,
    ) -> Begun:
        """A channel on which the login shell was given an opening line, and the line's token.

        Args:
            command: what messages call it.
            opening: of `remote_shell`; makes a line for whatever shell the user has.
            pty: with a terminal.
            timeout: seconds, and even if the run is being stopped; None: the server's own, and
                not then.

        Raises:
            DisconnectedError: the connection was lost, or the server opens no session at all.
            CancelledError: the run is being stopped.
            ConnectError: the timeout has passed.
        """

        def session() -> Begun:
            ready = None if pty else self._ahead.take()
            return ready or begin(self._open(), opening, pty=pty)

        wait = Wait(self.endpoint, timeout or math.inf, never if timeout else self._cancelled)
        try:
            return wait.during(session, lambda late: late[0].close())
        except paramiko.ChannelException as error:
            raise DisconnectedError(
                f"the server opens no session for: {command} ({error})"
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise DisconnectedError(
                f"the connection was lost before: {command} ({error})"
            ) from error

    def prepare(self) -> None:
        """Have the next sessions opened while this one's command runs."""
        self._ahead.prepare(self._transports[0])

    def log_in(
        self, timeout: float = LOGIN_TIMEOUT, alive: Callable[[], str | None] | None = None
    ) -> Transport:
        """One more login, of no use until `replace`.

        Raises:
            ConnectError, CancelledError: see `log_in`.
        """
        fresh = log_in(Wait(self.endpoint, timeout, self._cancelled, alive or self._alive))
        fresh.alive = self._alive
        return fresh

    def replace(self, fresh: Transport) -> None:
        """Hang up on all others."""
        with self._lock:
            stale, self._transports = self._transports, [fresh]
        for transport in stale:
            hang_up(transport)

    def close(self) -> None:
        for transport in self._transports:
            hang_up(transport)

    def _open(self) -> paramiko.Channel:
        with self._lock:
            for transport in self._transports:
                with contextlib.suppress(paramiko.ChannelException):  # its MaxSessions
                    return transport.open_session(timeout=OPEN_TIMEOUT)
            self._transports.append(self.log_in())
            return self._transports[-1].open_session(timeout=OPEN_TIMEOUT)
