"""A command on an SSH channel: its streams, its standard input, its end."""

from __future__ import annotations

import contextlib
import itertools
import select
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from harness.errors import ConnectError, DisconnectedError
from harness.model import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import paramiko

    Check = Callable[[], None]

CHUNK = 128 * 1024
QUIET = 1.0
"""Seconds without output after which a command that has exited is done, though a daemon that it
left keeps its streams open."""
LINGER = 5.0
"""Seconds after which it is done even if that daemon goes on printing."""
CLOSE_TIMEOUT = 1.0


class Stream:
    """The stdout of a running command, as a file to read.

    Args:
        process: the command.
        check: called often; may raise.
        errors: what it wrote elsewhere instead of on stderr, asked when it has ended.
    """

    def __init__(self, process: Process, check: Check, errors: Callable[[], bytes]) -> None:
        self._process = process
        self._check = check
        self._errors = errors

    def read(self, _size: int = -1) -> bytes:
        """The next bytes, as many as there are; empty at the end."""
        return self._process.read(self._check)

    def finish(self) -> CommandResult:
        """Read to the end; the result has the exit status and stderr."""
        while self.read():
            pass
        process = self._process
        stderr = bytes(process.stderr) + self._errors()
        return CommandResult(process.command, process.exit_status(), b"", stderr)


class Process:
    """A command on a channel of its own.

    Args:
        channel: opened by a line of `remote_shell` with ``token``.
        token: see there.
        command: what messages call it.
        request: what that line reads first, and then runs.
        stdin: what the command reads; None: what `write` is given, until `close`.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        token: str,
        command: str,
        request: bytes,
        stdin: bytes | Iterable[bytes] | None,
    ) -> None:
        self.command = command
        self.pid: int | None = None
        self.stderr = bytearray()
        """What `read` has passed over."""
        self._prologues = {"stdout": _Prologue(token), "stderr": _Prologue(token)}
        self._interactive = stdin is None
        chunks = () if stdin is None else _slices(stdin) if isinstance(stdin, bytes) else stdin
        self._outgoing: Iterator[bytes] | None = itertools.chain(_slices(request), chunks)
        self._unsent = memoryview(b"")
        self._sent = False
        self._unread: deque[tuple[str, bytes]] = deque()
        self._last_output = time.monotonic()
        self._ended_at = 0.0
        self._channel = channel
        channel.settimeout(0.05)  # of sending; what is read is there already
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    @property
    def ended(self) -> bool:
        return self._channel.exit_status_ready()  # closed channels count

    def exit_status(self) -> int:
        """Its exit status, 128 + n for signal n."""
        if self._channel.exit_status < 0:  # paramiko's word for none
            raise DisconnectedError(f"the connection was lost while: {self.command}")
        return self._channel.exit_status

    def write(self, data: bytes) -> None:
        """Queue data for stdin; `next` sends it."""
        self._outgoing = itertools.chain(self._outgoing or (), _slices(data))

    def read(self, check: Check) -> bytes:
        """The next bytes of stdout; empty at the end."""
        while (chunk := self.next(check)) is not None:
            if chunk[0] == "stdout":
                return chunk[1]
            self.stderr += chunk[1]
        return b""

    def next(self, check: Check) -> tuple[str, bytes] | None:
        """A stream's name and its next bytes; None when the command is done.

        Sends what is queued for stdin meanwhile. ``check`` is called often and may raise.
        """
        while True:
            chunk = self._unread.popleft() if self._unread else self._step(check)
            if chunk is None or chunk[1]:
                return chunk

    def identify(self, check: Check) -> None:
        """Wait for `pid`, which is on its way once anything was sent."""
        while self.pid is None and self._sent and (chunk := self._step(check)) is not None:
            self._unread.append(chunk)

    def close(self) -> None:
        """Hang up. A long-lived shell is given a moment to tidy up. Never raises."""
        with contextlib.suppress(OSError, EOFError):
            if self._interactive and not self.ended:
                self._channel.shutdown_write()
                self._channel.status_event.wait(CLOSE_TIMEOUT)
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()

    def _step(self, check: Check) -> tuple[str, bytes] | None:
        check()
        over = self._is_over()  # before reading: what came before the end is then read
        name, data = self._received()
        if data:
            return name, self._without_prologue(name, data)
        if over:
            self._require_start()
            return None
        self._work()
        return name, data

    def _received(self) -> tuple[str, bytes]:
        if self._channel.recv_ready():
            return "stdout", self._channel.recv(CHUNK)
        if self._channel.recv_stderr_ready():
            return "stderr", self._channel.recv_stderr(CHUNK)
        return "", b""

    def _without_prologue(self, name: str, data: bytes) -> bytes:
        self._last_output = time.monotonic()
        prologue = self._prologues[name]
        data = prologue.remove(data)
        if self.pid is None and name == "stdout" and prologue.rest.isdigit():
            self.pid = int(prologue.rest)
        return data

    def _require_start(self) -> None:
        """A login shell that runs nothing has an exit status too, which is not the command's."""
        if self._prologues["stdout"].seen or self._channel.exit_status < 0:
            return
        said = b"".join(prologue.held for prologue in self._prologues.values())
        raise ConnectError(
            f"the user's login shell did not run: {self.command}\n"
            f"it said: {said.decode(errors='replace').strip() or 'nothing'}"
        )

    def _is_over(self) -> bool:
        if not self.ended:
            return False
        now = time.monotonic()
        self._ended_at = self._ended_at or now
        waited = now - self._last_output > QUIET or now - self._ended_at > LINGER
        return bool(self._channel.eof_received or self._channel.closed or waited)

    def _work(self) -> None:
        """Send something, or wait a little for whatever comes."""
        if self._outgoing is not None and not self.ended:
            self._send()
        elif self._channel.eof_received:
            self._channel.status_event.wait(0.1)
        else:
            self._poll.poll(100)

    def _send(self) -> None:
        assert self._outgoing is not None
        if not self._unsent:
            data = next(self._outgoing, None)  # whose errors are its owner's business
            if data is None:
                self._outgoing = None
                if not self._interactive:
                    with contextlib.suppress(OSError, EOFError):
                        self._channel.shutdown_write()
                return
            self._unsent = memoryview(data)
        try:
            sent = self._channel.send(self._unsent)  # type: ignore[arg-type]  # stubs know bytes only
        except TimeoutError:
            return  # its window is full; what it prints may have to be read first
        except (OSError, EOFError):
            self._outgoing = None  # it reads no more; how it ended is told by its exit status
        else:
            self._unsent = self._unsent[sent:]
            self._sent = True


class _Prologue:
    """What comes before a command's own output: start-up files' noise, and the token's line."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self.held = bytearray()
        self.seen = False
        """Whether the token has come: whatever does from then on is the command's."""
        self.rest = ""
        """What stood behind the token."""

    def remove(self, data: bytes) -> bytes:
        if self.seen:
            return data
        self.held += data
        _, token, after = bytes(self.held).partition(self._token)
        if not token or b"\n" not in after:
            return b""
        line, _, output = after.partition(b"\n")
        self.seen, self.rest = True, line.decode().strip()
        return output


def _slices(data: bytes) -> Iterator[bytes]:
    view: Any = memoryview(data)
    return (view[at : at + CHUNK] for at in range(0, len(data), CHUNK))
