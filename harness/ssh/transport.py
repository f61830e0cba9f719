"""paramiko's transport, and what it lacks: how a command was killed, and a silence's end."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import struct
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    cMSG_GLOBAL_REQUEST,
)

if TYPE_CHECKING:
    from collections.abc import Callable

JOIN_TIMEOUT = 5.0
WINDOW = 8 * 1024 * 1024
PACKET = 128 * 1024
"""Bytes that may be under way, and in one packet: paramiko's own choice is slow in bulk."""
LOOK = 0.5
"""Seconds between two looks whether anything has come."""

# paramiko reports a broken connection with a traceback; what matters of it is in our errors.
# Whoever wants to read it lowers this logger's level.
LOGGER = logging.getLogger("harness.paramiko")
LOGGER.setLevel(logging.CRITICAL + 1)


class Line:
    """A socket, or what does as one, that counts what comes.

    Args:
        socket: owned from now on.
        hop: a login that it goes through, and that ends with it.
    """

    def __init__(self, socket: Any, hop: Transport | None = None) -> None:
        self.received = 0
        self._socket = socket
        self._hop = hop

    def recv(self, size: int) -> bytes:
        data: bytes = self._socket.recv(size)
        self.received += len(data)
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError):  # a channel of a hop that is gone already
            self._socket.close()
        if self._hop is not None:
            hang_up(self._hop)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def _on_request(channel: Any, message: paramiko.Message) -> None:
    """Note the signal that ended a command as a status, as a shell does: paramiko drops it."""
    position = message.packet.tell()
    name, _ = message.get_text(), message.get_boolean()
    if name == "exit-signal":
        number = getattr(signal, f"SIG{message.get_text()}", signal.SIGKILL)
        channel.exit_status = 128 + number
        channel.status_event.set()
        return
    message.packet.seek(position)
    channel._handle_request(message)  # noqa: SLF001 - paramiko has no hook for this


class Transport(paramiko.Transport):
    """A line to an SSH server, encrypted once the handshake is done."""

    _channel_handler_table: ClassVar = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        MSG_CHANNEL_REQUEST: _on_request,
    }

    def __init__(self, line: Line) -> None:
        super().__init__(line, WINDOW, PACKET)  # type: ignore[arg-type]  # does as a socket
        self.daemon = True
        self.set_log_channel(LOGGER.name)
        self.banner_timeout = self.handshake_timeout = self.auth_timeout = 60
        self.lost = ""
        """Why it was given up, if that was our decision."""
        self.alive: Callable[[], str | None] = lambda: None
        """Asked again and again once `keep_alive` was called; a sentence: it is of no use."""
        self._line = line
        self._closed = threading.Event()
        self._opening = threading.Lock()
        self._sending = threading.Lock()
        self.closed_channels: set[int] = set()
        """The server's numbers of channels that we have closed."""
        self._watch: threading.Thread | None = None

    def open_session(self, *args: Any, **kwargs: Any) -> paramiko.Channel:
        # One at a time: paramiko notes a refusal for whoever looks first.
        with self._opening:
            return super().open_session(*args, **kwargs)

    def _send_message(self, data: paramiko.Message) -> None:
        """Keep back what is for a channel that another thread has just closed.

        paramiko does not, and a server then ends the whole connection.
        """
        text = data.asbytes()
        with self._sending:
            if MSG_CHANNEL_WINDOW_ADJUST <= text[0] <= MSG_CHANNEL_FAILURE:
                (channel,) = struct.unpack(">I", text[1:5])
                if channel in self.closed_channels:
                    return
                if text[0] == MSG_CHANNEL_CLOSE:
                    self.closed_channels.add(channel)
            super()._send_message(data)  # type: ignore[misc]  # unknown to the stubs

    def _parse_channel_open_success(self, message: paramiko.Message) -> None:
        """A new channel may have the number of one that is closed."""
        position = message.packet.tell()
        _, channel = message.get_int(), message.get_int()
        message.packet.seek(position)
        self.closed_channels.discard(channel)
        super()._parse_channel_open_success(message)  # type: ignore[misc]  # unknown to the stubs

    def keep_alive(self, interval: float, limit: float) -> None:
        """Ask for a word where none came for ``interval`` s; after ``limit`` s it counts as lost.

        Whether the server is there and not only its kernel: a forwarded port or a bastion's
        answers for a machine that is long dead. 0 for either: never.
        """
        if interval:
            self.packetizer.set_keepalive(interval, self._ask)
        limit = limit if interval and limit else math.inf
        self._watch = threading.Thread(target=self._watch_for, args=[limit], daemon=True)
        self._watch.start()

    def close(self) -> None:
        self._closed.set()
        super().close()

    @property
    def threads(self) -> list[threading.Thread]:
        return [self] if self._watch is None else [self, self._watch]

    def _ask(self) -> None:
        # paramiko's own keep-alive wants no answer; any will do, and "no" is the usual one.
        question = paramiko.Message()
        question.add_byte(cMSG_GLOBAL_REQUEST)
        question.add_string("keepalive@openssh.com")
        question.add_boolean(True)
        self._send_user_message(question)  # type: ignore[attr-defined]  # unknown to the stubs

    def _watch_for(self, limit: float) -> None:
        # In a thread of its own, since a full send buffer blocks all others. Silence is counted
        # in looks and not read off a clock: while this process is stopped nothing is heard.
        silent, heard = 0.0, -1
        while self.is_active() and not self._closed.wait(min(LOOK, limit / 4)):
            silent = silent + min(LOOK, limit / 4) if self._line.received == heard else 0.0
            heard = self._line.received
            if silent >= limit:
                self.lost = f"nothing was heard of the machine for {limit:g} s"
            self.lost = self.alive() or self.lost
            if self.lost:
                self.close()


def hang_up(transport: Transport) -> None:
    transport.close()
    for thread in transport.threads:  # paramiko leaves its own to end by itself
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join(JOIN_TIMEOUT)
