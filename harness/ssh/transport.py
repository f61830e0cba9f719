"""paramiko's transport, and what it lacks."""

from __future__ import annotations

import logging
import signal
from typing import Any, ClassVar

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

JOIN_TIMEOUT = 5.0
WINDOW = 8 * 1024 * 1024
PACKET = 128 * 1024
"""Bytes that may be under way, and in one packet: paramiko's own choice is slow in bulk."""

# paramiko reports a broken connection with a traceback; what matters of it is in our errors.
# Whoever wants to read it lowers this logger's level.
LOGGER = logging.getLogger("harness.paramiko")
LOGGER.setLevel(logging.CRITICAL + 1)


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

    def __init__(self, line: Any) -> None:
        super().__init__(line, WINDOW, PACKET)
        self.daemon = True
        self.set_log_channel(LOGGER.name)
        self.banner_timeout = self.handshake_timeout = self.auth_timeout = 60


def hang_up(transport: paramiko.Transport) -> None:
    transport.close()
    if transport.is_alive():
        transport.join(JOIN_TIMEOUT)  # paramiko leaves its thread to end by itself
