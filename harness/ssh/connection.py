"""A login on a machine: run commands, in the long-lived shell or each on a channel of its own."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from harness import query, remote_kill, remote_shell
from harness.errors import (
    CancelledError,
    CommandError,
    CommandTimeoutError,
    DisconnectedError,
    HarnessError,
)
from harness.model import CommandResult
from harness.ssh import config
from harness.ssh.login import log_in
from harness.ssh.process import Process, Stream
from harness.ssh.sessions import LOGIN_TIMEOUT, Sessions
from harness.ssh.wait import Wait, never, nothing_wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from harness.model import Endpoint

KILL_TIMEOUT = 10.0


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
    transport = log_in(Wait(endpoint, timeout, cancelled, alive, ready))
    return Connection(Sessions(endpoint, transport, cancelled, alive), cancelled)


class Connection:
    """A login on a machine.

    `run` and `stream` may be used from several threads; `execute` takes one command at a time.
    """

    def __init__(self, sessions: Sessions, cancelled: Callable[[], bool]) -> None:
        self._sessions = sessions
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
        Where the endpoint asks for a terminal, the command has one: all that it prints is stdout,
        and what it is to read lies on the machine first.

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
            ConnectError: the user's login shell runs no commands.
        """
        terminal = self._sessions.endpoint.pty
        return self._run(command, text, stdin, timeout, on_output, terminal=terminal)

    def _run(
        self,
        command: str,
        text: str | None = None,
        stdin: bytes | Iterable[bytes] = b"",
        timeout: float | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        *,
        terminal: bool = False,
    ) -> CommandResult:
        streams = {"stdout": bytearray(), "stderr": bytearray()}
        start = time.monotonic()

        def result(status: int) -> CommandResult:
            return CommandResult(command, status, *(bytes(data) for data in streams.values()))

        def check() -> None:
            self._check(command)
            if timeout is not None and time.monotonic() > start + timeout:
                raise CommandTimeoutError(command, timeout, result(-1))

        with self._start(command, stdin, text, timeout, terminal=terminal) as process:
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

        Args and errors are those of `run`; the timeout raises out of ``read``. On a terminal, too,
        stderr is a stream of its own.
        """
        start = time.monotonic()

        def check() -> None:
            self._check(command)
            if timeout is not None and time.monotonic() > start + timeout:
                raise CommandTimeoutError(command, timeout, CommandResult(command, -1))

        with self._errors(command) as (file, errors):
            text = f"exec 2>{shlex.quote(file)}\n{text or command}" if file else text
            with self._start(command, b"", text, timeout, terminal=bool(file)) as process:
                yield Stream(process, check, errors)

    @contextlib.contextmanager
    def _errors(self, command: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """A file on the machine for what a terminal would mix into stdout, and a way to read it;
        nothing where there is no terminal.
        """
        if not self._sessions.endpoint.pty:
            yield "", bytes
            return
        file = self._place([], command)
        try:
            yield file, lambda: self._run(f"cat {shlex.quote(file)}").stdout_bytes
        finally:
            with contextlib.suppress(HarnessError):
                self._run(f"rm -f {shlex.quote(file)}")

    def execute(
        self, command: str, *, script: str | None = None, timeout: float | None = 300.0
    ) -> CommandResult:
        """Run a command in the long-lived shell: one round trip, for many small commands.

        Stdin is empty. Commands share nothing: no directory, no variable, no process group. Where
        the endpoint asks for a terminal, a command that begins with sudo has one, and takes longer.

        Args:
            command: of any length.
            script: what is run, if that is not the command itself. It is trusted: a fork of the
                shell evaluates it, so that no process list shows it, and no other shell starts.
            timeout: seconds until it is killed with all that it started; None: never.

        Returns:
            Its answer; the exit status is 128 + n if signal n ended it.

        Raises:
            CommandTimeoutError, CancelledError: see `run`.
            DisconnectedError: the shell or the connection was lost. The command may have run, so
                it is not run again; the next one gets a new shell.
        """
        if self._sessions.endpoint.pty and command.startswith("sudo "):
            return self._execute_on_terminal(command, timeout)
        with self._lock, self._explained():
            text = self._placed(command) if script is None else script
            how = None if script is None else query.FORK
            for _ in range(2):
                shell = self._open_shell()
                with contextlib.suppress(remote_shell.NotRunError):
                    return shell.execute(command, timeout, self._cancelled, text=text, how=how)
                self._close_shell()
            raise DisconnectedError(
                f"no shell for: {command}: no directory for its output can be written on the "
                f"machine; tried {remote_shell.DIRECTORIES}"
            )

    def _execute_on_terminal(self, command: str, timeout: float | None) -> CommandResult:
        with self.stream(command, timeout=timeout) as stream:
            stdout = b"".join(iter(stream.read, b""))
            done = stream.finish()
        return CommandResult(command, done.exit_status, stdout, done.stderr_bytes)

    @property
    def lost(self) -> bool:
        """Whether it is known to be gone; a machine that fell silent may not be yet."""
        return not self._sessions.active

    def renew(
        self,
        *,
        timeout: float = LOGIN_TIMEOUT,
        alive: Callable[[], str | None] | None = None,
    ) -> None:
        """Log in afresh: after a reboot, or so that changed groups, limits and PATH count.

        Args:
            timeout: seconds, 60 by default.
            alive: see `connect`; default: what was said there.

        Raises:
            ConnectError, CancelledError: see `connect`; the old login is kept.
        """
        fresh = self._sessions.log_in(timeout, alive)
        with self._lock:
            self._close_shell()
            self._sessions.replace(fresh)

    def ssh_config(self, directory: Path) -> Path:
        """Write a file for `ssh -F`, and what belongs to it, into a private directory.

        In it the machine is called ``default``.
        """
        return config.write(self._sessions.endpoint, directory)

    def rekey(self, private_key: str, host_key: str) -> None:
        """Use these keys for the next login: the machine has others than before."""
        self._sessions.endpoint = replace(
            self._sessions.endpoint, private_key=private_key, host_key=host_key
        )

    def close(self) -> None:
        """Hang up and end what still runs on the machine; never raises."""
        # Whatever goes wrong here, the connection is not needed any more.
        with contextlib.suppress(Exception):
            for process in list(self._running):
                self._kill(process)
            self._close_shell()
        with contextlib.suppress(Exception):
            self._sessions.close()

    def _check(self, command: str) -> None:
        if self._cancelled():
            raise CancelledError(f"the run is being stopped: killed {command}")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DisconnectedError as error:
            if reason := self._sessions.lost():
                raise DisconnectedError(f"{error}: {reason}") from error
            raise

    def _process(
        self,
        command: str,
        text: str,
        stdin: bytes | Iterable[bytes] | None,
        timeout: float | None = None,
        *,
        pty: bool = False,
    ) -> Process:
        remote_shell.check(text)  # before there is a session to be closed again
        channel, token = self._sessions.start(command, pty=pty, timeout=timeout)
        return Process(channel, token, command, remote_shell.request(token, text), stdin)

    def _process_on_terminal(
        self, command: str, text: str, stdin: bytes | Iterable[bytes], timeout: float | None
    ) -> Process:
        """A terminal would echo, cut and change what is sent: it is given a file's name only."""
        data = ""
        if stdin:
            chunks = [stdin] if isinstance(stdin, bytes) else stdin
            bulk = not isinstance(stdin, bytes) or len(stdin) > remote_shell.BULK
            data = self._place(chunks, command, timeout, bulk=bulk)
        script = remote_shell.read_once(data) + text
        file = self._place([script.encode(errors="surrogateescape")], command, timeout)
        opening = remote_shell.opening_on_terminal
        channel, token = self._sessions.start(command, opening, pty=True)
        return Process(channel, token, command, f"{file}\n".encode(), b"")

    @contextlib.contextmanager
    def _start(
        self,
        command: str,
        stdin: bytes | Iterable[bytes],
        text: str | None,
        timeout: float | None,
        *,
        terminal: bool,
    ) -> Iterator[Process]:
        text = command if text is None else text
        with self._explained():
            if terminal:
                process = self._process_on_terminal(command, text, stdin, timeout)
            else:
                process = self._process(command, self._placed(text), stdin)
                self._sessions.prepare()
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
        data = f"{remote_shell.read_once('')}{command}".encode(errors="surrogateescape")
        return remote_shell.run_file(self._place([data], command))

    def _place(
        self,
        data: Iterable[bytes],
        command: str,
        timeout: float | None = None,
        *,
        bulk: bool = False,
    ) -> str:
        """Put what a command needs into a temporary file on the machine; returns its name."""
        placed = self._run(command, remote_shell.place_script(bulk=bulk), data, timeout)
        if placed.failed:
            raise CommandError(f"placing in a file what it needs: {command}", placed)
        return placed.stdout.rstrip("\n")

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
            if process.pid is None or not self._sessions.active:
                return
            script = remote_kill.kill_script(process.pid, spare=spare)
            # Its lines are short enough for a terminal's, without which sudo may refuse.
            pty = self._sessions.endpoint.pty
            killer = self._process("kill", script, b"", KILL_TIMEOUT, pty=pty)
            try:
                while killer.next(check) is not None:
                    pass
            finally:
                killer.close()
