"""Into a machine: the handshake, the host key, the login; again and again until the deadline."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import paramiko

from harness.ssh import keys
from harness.ssh.transport import Transport, hang_up
from harness.ssh.wait import first_to_answer

if TYPE_CHECKING:
    from harness.ssh.wait import Wait

# Since 9.8 OpenSSH shuts an address out for a while after too many connections without a login.
# So a refused key is offered again on the same connection (the server ends it after the sixth),
# which also spares a slow guest a key exchange.
OFFERS = 5
OFFER_PAUSE = 0.5
LOGIN_PAUSE = 1.0


def log_in(wait: Wait) -> Transport:
    expected, key = (
        keys.host_key(wait.endpoint.host_key),
        keys.private_key(wait.endpoint.private_key),
    )
    while True:
        transport = Transport(_socket(wait))
        try:
            if _negotiate(transport, expected, wait) and _authenticate(transport, key, wait):
                return transport
        except BaseException:
            hang_up(transport)
            raise
        hang_up(transport)
        wait.pause(LOGIN_PAUSE)


def _socket(wait: Wait) -> socket.socket:
    answering = first_to_answer(wait)
    answering.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # 40 ms a command otherwise
    return answering


def _negotiate(transport: Transport, expected: tuple[str, bytes], wait: Wait) -> bool:
    """Whether there is a secure line to the machine that we expect."""
    options = transport.get_security_options()
    options.key_types = sorted(options.key_types, key=lambda name: expected[0] not in name)
    negotiated = threading.Event()
    wait.seen = "an SSH banner came, but the handshake was not done"
    transport.start_client(negotiated)
    wait.until(negotiated.wait)
    if not transport.is_active():
        wait.seen = _handshake_failure(transport.get_exception())
        return False
    shown = transport.get_remote_server_key()
    if (shown.get_name(), shown.asbytes()) != expected:
        wait.seen = (
            f"host key different: expected {keys.fingerprint(expected[1])}, "
            f"got {keys.fingerprint(shown.asbytes())}; that is another machine, or one whose first "
            "boot has not put the expected key in place"
        )
        return False
    return True


def _authenticate(transport: Transport, key: paramiko.PKey, wait: Wait) -> bool:
    """Whether the server let us in."""
    for _ in range(OFFERS):
        answered = threading.Event()
        try:
            transport.auth_publickey(wait.endpoint.username, key, answered)
        except paramiko.SSHException as error:  # it ended the connection meanwhile
            wait.seen = f"the connection broke off during the login ({error})"
            return False
        wait.until(answered.wait)
        if transport.is_authenticated():
            return True
        wait.seen = (
            f"key refused for user {wait.endpoint.username} "
            f"({transport.get_exception() or 'not accepted'})"
        )
        wait.pause(OFFER_PAUSE)
    return False


def _handshake_failure(error: Exception | None) -> str:
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return f"algorithms not in common: {error} (an image this old needs a newer SSH server)"
    if isinstance(error, paramiko.SSHException):
        return f"it answered, but not as an SSH server: {error}"
    return f"the connection broke off during the handshake ({error})"
