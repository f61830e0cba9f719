"""SSH to a machine: log in, run commands. The only module that imports paramiko."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import logging
import secrets
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

from harness import remote_shell
from harness.errors import (
    CancelledError,
    CommandError,
    CommandTimeoutError,
    ConfigurationError,
    DisconnectedError,
    HarnessError,
)
from harness.model import CommandResult
from harness.ssh_process import Process, Stream
from harness.ssh_wait import Wait, first_to_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.model import Endpoint

WINDOW = 8 * 1024 * 1024
PACKET = 128 * 1024
"""Bytes that may be under way, and in one packet: paramiko's own choice is slow in bulk."""
OPEN_TIMEOUT = 15.0
KILL_TIMEOUT = 10.0
RENEW_TIMEOUT = 60.0
JOIN_TIMEOUT = 5.0

# Since 9.8 OpenSSH shuts an address out for a while after too many connections without a login.
# So a refused key is offered again on the same connection (the server ends it after the sixth),
# which also spares a slow guest a key exchange.
OFFERS = 5
OFFER_PAUSE = 0.5
LOGIN_PAUSE = 1.0

# paramiko reports a broken connection with a traceback; what matters of it is in our errors.
# Whoever wants to read it lowers this logger's level.
LOGGER = logging.getLogger("harness.paramiko")
LOGGER.setLevel(logging.CRITICAL + 1)


def never() -> bool:
    return False


def nothing_wrong() -> None:
    return None


def connect(
    endpoint: Endpoint,
    *,
    timeout: float,
    cancelled: Callable[[], bool] = never,
    alive: Callable[[], str | None] = nothing_wrong,
    ready: Callable[[], bool] = never,
) -> Connection:
    """Wait until the SSH server answers, and log in.

    What is wrong before the deadline may be right a moment later: during a first boot nothing
    listens, then a server with another host key may, and the user's key is added last.

    Args:
        endpoint: where, as whom, with which key, and which host key is expected.
        timeout: seconds for all of it.
        cancelled: asked ten times a second, also while commands run; true ends the wait.
        alive: asked as often; None, or a sentence why waiting is pointless.
        ready: asked as often; true from when the server is known to listen, so that the next
            attempt is made at once. Never, by default: only attempts tell.

    Raises:
        ConnectError: not alive, or not logged in at the deadline; says what was seen last.
        CancelledError: ``cancelled()`` became true.
        ConfigurationError: a key of the endpoint cannot be read.
    """
    wait = Wait(endpoint, timeout, cancelled, alive, ready)
    return Connection(endpoint, _log_in(wait), cancelled)


class Connection:
    """A login on a machine.

    `run` and `stream` may be used from several threads; `execute` takes one command at a time.
    """

    def __init__(
        self, endpoint: Endpoint, transport: paramiko.Transport, cancelled: Callable[[], bool]
    ) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._cancelled = cancelled
        self._lock = threading.RLock()
        self._shell: remote_shell.RemoteShell | None = None
        self._running: set[Process] = set()

    def run(
        self,
        command: str,
        *,
        text: str | None = None,
        stdin: bytes | Iterable[bytes] = b"",
        timeout: float | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> CommandResult:
        """Run a command of /bin/sh on a channel of its own.

        Returns when the command has exited, even if a daemon that it left keeps its output open.

        Args:
            command: what it is called in the result and in messages.
            text: what is run, if that is not the command itself; of any length, and no process
                list shows it.
            stdin: what the command reads, bytes or chunks that are asked for as it reads.
            timeout: seconds until it is killed with all that it started; None: never.
            on_output: called with ``"stdout"`` or ``"stderr"`` and bytes, as they come.

        Returns:
            Its answer; the exit status is 128 + n if signal n ended it.

        Raises:
            CommandTimeoutError: the timeout has passed.
            CancelledError: the run is being stopped; the command was killed.
            DisconnectedError: the connection was lost before the command had an exit status.
        """
        streams = {"stdout": bytearray(), "stderr": bytearray()}
        start = time.monotonic()

        def result(status: int) -> CommandResult:
            return CommandResult(command, status, *(bytes(data) for data in streams.values()))

        def check() -> None:
            self._check(command)
            if timeout is not None and time.monotonic() > start + timeout:
                raise CommandTimeoutError(command, timeout, result(-1))

        with self._start(command, stdin, text) as process:
            while (chunk := process.next(check)) is not None:
                streams[chunk[0]] += chunk[1]
                if on_output is not None:
                    on_output(*chunk)
            return result(process.exit_status())

    @contextlib.contextmanager
    def stream(
        self, command: str, *, text: str | None = None, timeout: float | None = None
    ) -> Iterator[Stream]:
        """Run a command whose stdout is read bit by bit; leaving the context ends it.

        Args and errors are those of `run`; the timeout raises out of ``read``.
        """
        start = time.monotonic()

        def check() -> None:
            self._check(command)
            if timeout is not None and time.monotonic() > start + timeout:
                raise CommandTimeoutError(command, timeout, CommandResult(command, -1))

        with self._start(command, b"", text) as process:
            yield Stream(process, check)

    def execute(self, command: str, *, timeout: float | None = 300.0) -> CommandResult:
        """Run a command in the long-lived shell: one round trip, for many small commands.

        Stdin is empty. Commands share nothing: no directory, no variable, no process group.

        Args:
            command: of any length.
            timeout: seconds until it is killed with all that it started; None: never.

        Returns:
            Its answer; the exit status is 128 + n if signal n ended it.

        Raises:
            CommandTimeoutError, CancelledError: see `run`.
            DisconnectedError: the shell or the connection was lost. The command may have run, so
                it is not run again; the next one gets a new shell.
        """
        with self._lock:
            text = self._placed(command)
            for _ in range(2):
                shell = self._open_shell()
                with contextlib.suppress(remote_shell.NotRunError):
                    return shell.execute(command, timeout, self._cancelled, text=text)
                self._close_shell()
            raise DisconnectedError(
                f"no shell for: {command}: no directory for its output can be written on the "
                f"machine; tried {remote_shell.DIRECTORIES}"
            )

    @property
    def lost(self) -> bool:
        """Whether it is known to be gone; a machine that fell silent is not known to be."""
        return not self._transport.is_active()

    def renew(
        self,
        *,
        timeout: float = RENEW_TIMEOUT,
        alive: Callable[[], str | None] = nothing_wrong,
    ) -> None:
        """Log in afresh: after a reboot, or so that changed groups, limits and PATH count.

        Args:
            timeout: seconds, 60 by default.
            alive: see `connect`.

        Raises:
            ConnectError, CancelledError: see `connect`; the old login is kept.
        """
        fresh = _log_in(Wait(self._endpoint, timeout, self._cancelled, alive))
        with self._lock:
            self._close_shell()
            _hang_up(self._transport)
            self._transport = fresh

    def close(self) -> None:
        """Hang up and end what still runs on the machine; never raises."""
        # Whatever goes wrong here, the connection is not needed any more.
        with contextlib.suppress(Exception):
            for process in list(self._running):
                self._kill(process)
            self._close_shell()
        with contextlib.suppress(Exception):
            _hang_up(self._transport)

    def _check(self, command: str) -> None:
        if self._cancelled():
            raise CancelledError(f"the run is being stopped: killed {command}")

    def _process(self, command: str, text: str, stdin: bytes | Iterable[bytes] | None) -> Process:
        token = secrets.token_hex(16)
        try:
            channel = self._transport.open_session(timeout=OPEN_TIMEOUT)
            channel.exec_command(remote_shell.opening(token))
        except paramiko.ChannelException as error:
            raise DisconnectedError(
                f"the server opens no further session (its MaxSessions?) for: {command} ({error})"
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise DisconnectedError(
                f"the connection was lost before: {command} ({error})"
            ) from error
        return Process(channel, token, command, text, stdin)

    @contextlib.contextmanager
    def _start(
        self, command: str, stdin: bytes | Iterable[bytes], text: str | None
    ) -> Iterator[Process]:
        placed = self._placed(command if text is None else text)
        process = self._process(command, placed, stdin)
        self._running.add(process)
        try:
            yield process
        finally:
            if not process.ended:
                self._kill(process)
            process.close()
            self._running.discard(process)

    def _placed(self, command: str) -> str:
        if len(command) < remote_shell.LONG:
            return command
        data = command.encode(errors="surrogateescape")
        placed = self.run(remote_shell.place_script(), stdin=data)
        if placed.failed:
            raise CommandError(f"placing a command of {len(data)} bytes in a file", placed)
        return remote_shell.run_file(placed.stdout.rstrip("\n"))

    def _open_shell(self) -> remote_shell.RemoteShell:
        stale = ""
        if self._shell is not None and self._shell.ended:
            stale = self._shell.directory
            self._close_shell()
        if self._shell is None:
            script = remote_shell.RemoteShell.script(stale)
            process = self._process("the long-lived shell", script, None)
            self._shell = remote_shell.RemoteShell(process, lambda: self._kill(process, spare=True))
        return self._shell

    def _close_shell(self) -> None:
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.close()

    def _kill(self, process: Process, *, spare: bool = False) -> None:
        deadline = time.monotonic() + KILL_TIMEOUT

        def check() -> None:
            if time.monotonic() > deadline:
                raise TimeoutError

        # Best effort: whoever wanted the kill has an error of their own to report.
        with contextlib.suppress(HarnessError, TimeoutError):
            process.identify(check)
            if process.pid is None or not self._transport.is_active():
                return
            script = remote_shell.kill_script(process.pid, spare=spare)
            killer = self._process("kill", script, b"")
            try:
                while killer.next(check) is not None:
                    pass
            finally:
                killer.close()


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


class _Transport(paramiko.Transport):
    _channel_handler_table: ClassVar = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        MSG_CHANNEL_REQUEST: _on_request,
    }


def _log_in(wait: Wait) -> paramiko.Transport:
    expected, key = _host_key(wait.endpoint.host_key), _private_key(wait.endpoint.private_key)
    while True:
        transport = _Transport(_socket(wait), WINDOW, PACKET)
        try:
            if _negotiate(transport, expected, wait) and _authenticate(transport, key, wait):
                return transport
        except BaseException:
            _hang_up(transport)
            raise
        _hang_up(transport)
        wait.pause(LOGIN_PAUSE)


def _hang_up(transport: paramiko.Transport) -> None:
    transport.close()
    if transport.is_alive():
        transport.join(JOIN_TIMEOUT)  # paramiko leaves its thread to end by itself


def _socket(wait: Wait) -> socket.socket:
    answering = first_to_answer(wait)
    answering.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # 40 ms a command otherwise
    return answering


def _negotiate(transport: paramiko.Transport, expected: tuple[str, bytes], wait: Wait) -> bool:
    """Whether there is a secure line to the machine that we expect."""
    transport.daemon = True
    transport.set_log_channel(LOGGER.name)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = 60
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
            f"host key different: expected {_fingerprint(expected[1])}, "
            f"got {_fingerprint(shown.asbytes())}; that is another machine, or one whose first "
            "boot has not put the expected key in place"
        )
        return False
    return True


def _authenticate(transport: paramiko.Transport, key: paramiko.PKey, wait: Wait) -> bool:
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


def _host_key(line: str) -> tuple[str, bytes]:
    try:
        name, encoded = line.split()[:2]
        return name, base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ConfigurationError(
            f"host key {line!r} is no public key: expected 'ssh-ed25519 AAAA…'"
        ) from error


def _private_key(text: str) -> paramiko.PKey:
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(text))
    raise ConfigurationError(
        "the private key cannot be read: expected an OpenSSH key without a passphrase, of type "
        "ed25519, ecdsa or rsa"
    )


def _fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
