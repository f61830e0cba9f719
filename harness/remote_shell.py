"""Commands as data for a remote POSIX sh: how one starts, the long-lived shell, and the kill.

Works over any byte channel; `harness.ssh` has the real one.

A command is never written into a shell that would parse it in place. Lines of text travel on
standard input up to a token that no process list or environment shows, and are evaluated only
when all of them have come: a connection that breaks off runs no half command.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from typing import TYPE_CHECKING, Protocol

from harness import query
from harness.errors import CancelledError, CommandTimeoutError, DisconnectedError
from harness.model import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE = 5.0
"""Seconds that a killed command's shell has for its answer before it is given up."""

DIRECTORIES = '/dev/shm /run "${XDG_RUNTIME_DIR:-/tmp}" /tmp /var/tmp "$HOME"'  # noqa: S108 - mktemp
"""Where files of ours may go, for a shell's ``for``: what a reboot empties comes first."""
ON_DISK = '/var/tmp /tmp "$HOME"'  # noqa: S108 - mktemp
"""Where large ones may."""
BULK = 16 * 1024 * 1024
"""Bytes above which a file is a large one."""

# The login shell parses this line, and it may be csh or fish: one line, no backslash, no quote.
# IFS ends in the newline that could not be written here. Both streams say the token, so that
# what start-up files print is told from what the command prints; the pid is what a kill needs:
# sshd makes the shell a session leader. The first line is the token, too: start-up files that
# have read some of what was sent are found out.
_READER = (
    'IFS= read -r l && [ "$l" = @ ] || exit 255; '
    'c=; n=${IFS#??}; while IFS= read -r l || exit 255; [ "$l" != @ ]; do c=$c$l$n; done; '
    'c=${c%"$n"}; echo @ $$; echo @ >&2; eval "unset c h l n; $c"'
)

# Started before anybody knows for what. The login shell begins once more when it is known, for
# its start-up files may have changed: a command before may have put a program into PATH.
_WAITER = (
    'IFS= read -r l && [ "$l" = @ ] || exit 255; h=$0; export h; exec "${SHELL:-/bin/sh}" -c "$1"'
)
_AFRESH = 'exec /bin/sh -c "$h"'

# On a terminal all output is one stream, and what is sent would be echoed, cut at 4096 bytes and
# searched for control characters: it is the name of a file.
_TERMINAL_READER = (
    'stty -echo -opost 2>/dev/null; echo @ $$; IFS= read -r f; exec /bin/sh "$f" </dev/null'
)

# A request is: token, how (see `query.way`), newline, lines of text, token. An answer is:
# stdout, token, newline, stderr, token, status. Files and not pipes take the streams, for a daemon
# may keep them open; and appending ones, for a daemon may write on after they were emptied.
#
# To start a program is what takes time, on an emulated machine most of all. So a query has a fork
# of this shell, which becomes the program; all else a session of its own (setsid, which becomes
# sh). And what was printed is read by this shell itself, if it is short: the place behind the last
# write tells how long it is, and of a NUL, which no variable holds, nothing would be left. Then
# the answer is written at once: of two writes sshd holds back the second until the first has
# arrived. What can wait is done after it.
#
# No `&`: a shell without job control makes background commands deaf to SIGINT. The parentheses keep
# this shell's own "Killed" out of the command's stderr.
_LOOP = """
exec 2>/dev/null
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP TERM PIPE
for at in @directories; do dir=$(mktemp -d "$at/harness.XXXXXXXXXX") && break; done
[ -d "$dir" ] && echo "$dir" || { dir=; echo; exit 1; }
command -v setsid >/dev/null && setsid=setsid || setsid=
newline='
'
count=0
load() {
  text= size=0
  [ -s "$1" ] || return 0
  read -r line size <"/proc/self/fdinfo/$2"
  if [ "$size" -gt 0 ] && [ "$size" -lt @short ]; then
    while IFS= read -r line; do text=$text$line$newline; done <"$1"
    text=$text$line
  fi
  [ "${#text}" = "$size" ]
}
while read -r end how; do
  text=
  while IFS= read -r line || exit 0; [ "$line" != "$end" ]; do text=$text$line$newline; done
  count=$((count + 1)) out=$dir/out$count err=$dir/err$count
  command exec 3>>"$out" 4>>"$err" || { echo "$end$newline$end new"; exit 1; }
  case $how in
    sh) (exec $setsid sh -c "${text%"$newline"}" </dev/null >&3 2>&4 3>&- 4>&-) ;;
    *) (exec </dev/null >&3 2>&4 3>&- 4>&-; eval "$how $text") ;;
  esac
  status=$?
  load "$out" 3 || { cat "$out"; text=; }
  answer=$text$end$newline
  load "$err" 4 || { printf %s "$answer"; cat "$err"; text= answer=; }
  printf '%s\n' "$answer$text$end $status"
  [ -s "$out" ] && true >"$out"
  [ -s "$err" ] && true >"$err"
  [ $((count % 64)) = 0 ] && rm -f "$dir"/*
done
"""

SHORT = 1024
"""Bytes of a stream below which the long-lived shell reads them itself, one by one."""


# A command longer than this goes into a file first: read one byte at a time, as a shell must, it
# would take seconds under emulation, and as an argument it may have 128 KiB at most.
LONG = 32 * 1024

_PLACE = """
for at in @directories; do
  file=$(mktemp "$at/harness.XXXXXXXXXX" 2>/dev/null) || continue
  cat >"$file" && echo "$file" && exit
  rm -f "$file"
  exit 1
done
exit 1
"""


class Channel(Protocol):
    """The bytes to and from a remote shell that evaluates `RemoteShell.script`."""

    @property
    def ended(self) -> bool:
        """Nobody is there any more."""

    def write(self, data: bytes) -> None:
        """Queue data; `read` sends it."""

    def read(self, check: Callable[[], None]) -> bytes:
        """The next bytes, empty at the end; ``check`` is called often and may raise."""

    def close(self) -> None:
        """Hang up; never raises."""


class NotRunError(Exception):
    """The shell could not even start the command: another shell may."""


def opening(token: str) -> str:
    """The line to start with an exec request: it reads a `request` and becomes that command."""
    return f"exec /bin/sh -c '{_READER.replace('@', token)}'"


def opening_ahead(token: str) -> str:
    """The same, ahead of time: first it waits for `begin`."""
    waiter, reader = (part.replace("@", token) for part in (_WAITER, _READER))
    return f"exec /bin/sh -c '{waiter}' '{reader}' '{_AFRESH}'"


def begin(token: str) -> bytes:
    """What makes `opening_ahead` the same as `opening`."""
    return f"{token}\n".encode()


def opening_on_terminal(token: str) -> str:
    """The line to start with on a terminal: it reads a file's name and becomes that script."""
    return f"exec /bin/sh -c '{_TERMINAL_READER.replace('@', token)}'"


def read_once(stdin: str) -> str:
    """The head of a script in a file: it goes as it is read, and so does its input's file."""
    redirect = f"exec <{shlex.quote(stdin)}; rm -f {shlex.quote(stdin)}\n" if stdin else ""
    return f'rm -f "$0"\n{redirect}'


def request(token: str, command: str, how: str = "") -> bytes:
    """A command as the lines that `opening` reads; with ``how``, of `query`, the long-lived shell.

    Raises:
        ValueError: the command has a NUL, which no command line can have.
    """
    check(command)
    return f"{token} {how}".rstrip().encode() + f"\n{command}\n{token}\n".encode(
        errors="surrogateescape"
    )


def check(command: str) -> None:
    """Refuse what no command line can have: ValueError."""
    if "\0" in command:
        raise ValueError(f"a command cannot contain a NUL character: {command[:200]!r}")


def place_script(*, bulk: bool = False) -> str:
    """A script that puts its standard input into a temporary file and says the file's name.

    ``bulk``: it may be too large for a file system in memory.
    """
    return _PLACE.replace("@directories", ON_DISK if bulk else DIRECTORIES)


def run_file(path: str) -> str:
    """The command that stands for one whose text, with `read_once` as its head, is in a file."""
    return f"exec sh {shlex.quote(path)}"


class RemoteShell:
    """One shell, many commands: each in a session of its own, in one round trip.

    Args:
        channel: leads to a shell that evaluates `script`.
        kill: ends what the shell is running, not the shell.
    """

    def __init__(self, channel: Channel, kill: Callable[[], None]) -> None:
        self._channel = channel
        self._kill = kill
        self._greeting = b""
        self.directory = ""
        """Where it keeps its files; removed when it ends, but not when it is killed."""

    @staticmethod
    def script(stale: str = "") -> str:
        """What the remote sh is to evaluate; ``stale`` is a killed predecessor's directory."""
        remove = f"rm -rf {shlex.quote(stale)}\n" if stale else ""
        return remove + _LOOP.replace("@directories", DIRECTORIES).replace("@short", str(SHORT))

    @property
    def ended(self) -> bool:
        return self._channel.ended

    def execute(
        self,
        command: str,
        timeout: float | None,
        cancelled: Callable[[], bool],
        *,
        text: str | None = None,
        how: str | None = None,
    ) -> CommandResult:
        """Run one command.

        Args:
            command: what it is called in the result and in messages.
            timeout: seconds until it is killed; None: never.
            cancelled: true when the run is being stopped.
            text: what is run, if that is not the command itself.
            how: as `query.way` says; default: what it says of the text.

        Raises:
            CommandTimeoutError: the timeout has passed; the command was killed.
            CancelledError: ``cancelled()`` became true; the command was killed.
            DisconnectedError: the shell went away under the command, which may have run.
            NotRunError: the command was not started.
        """
        reply = _Reply(secrets.token_hex(16))
        text = text or command
        how = query.way(text) if how is None else how
        self._channel.write(request(reply.token.decode(), text, how))
        deadline = None if timeout is None else time.monotonic() + timeout

        def check() -> None:
            if cancelled():
                raise CancelledError(f"the run is being stopped: killed {command}")
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError

        try:
            self._receive(reply, command, check)
        except DisconnectedError:
            raise
        except BaseException as error:
            self._stop(reply, command)
            if timeout is not None and isinstance(error, TimeoutError):
                raise CommandTimeoutError(command, timeout, reply.killed(command)) from None
            raise
        if reply.status == b"new":
            raise NotRunError(self.directory)
        return reply.result(command)

    def close(self) -> None:
        self._channel.close()

    def _receive(self, reply: _Reply, command: str, check: Callable[[], None]) -> None:
        while reply.status is None:
            data = self._channel.read(check)
            if not data:
                raise DisconnectedError(f"the connection was lost while: {command}")
            reply.feed(data if self.directory else self._greet(data))

    def _greet(self, data: bytes) -> bytes:
        self._greeting, newline, rest = (self._greeting + data).partition(b"\n")
        if newline:
            if not self._greeting:
                raise NotRunError("none")
            self.directory = self._greeting.decode(errors="surrogateescape")
        return rest

    def _stop(self, reply: _Reply, command: str) -> None:
        deadline = time.monotonic() + GRACE

        def check() -> None:
            if time.monotonic() > deadline:
                raise TimeoutError

        try:
            self._kill()
            self._receive(reply, command, check)
        except (TimeoutError, DisconnectedError, NotRunError):
            self.close()


class _Reply:
    """An answer of the long-lived shell as it comes in."""

    def __init__(self, token: str) -> None:
        self.token = token.encode()
        self.status: bytes | None = None
        self._data = bytearray()
        self._last_line = re.compile(self.token + rb" (new|\d+)\n\Z")

    def feed(self, data: bytes) -> None:
        # Nothing follows the last line, so only the tail has to be looked at, however much comes.
        self._data += data
        if found := self._last_line.search(bytes(self._data[-80:])):
            self.status = found[1]

    def result(self, command: str) -> CommandResult:
        return CommandResult(command, int(self.status or -1), *self._streams())

    def killed(self, command: str) -> CommandResult:
        """What had come when the command was killed."""
        return CommandResult(command, -1, *self._streams())

    def _streams(self) -> tuple[bytes, bytes]:
        stdout, _, rest = bytes(self._data).partition(self.token + b"\n")
        return stdout, rest.rpartition(self.token)[0] if self.status else rest
