"""Commands of another user, over the login that there is."""

from __future__ import annotations

import contextlib
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.model import CommandResult
    from harness.sources.base import Commands, Stream

# As after a login of the user's own: sudo stays where it is, perhaps a folder closed to the user.
_AT_HOME = "cd 2>/dev/null || cd /"
# Where standard input is free, the text comes there: of any length, and no process list shows it.
FROM_STDIN = 'c=$(cat); exec </dev/null; eval "unset c; $c"'

# What sudo, or the shell that looks for it, says instead of running anything.
_REFUSALS = (
    (r"^sudo.*: (unknown user|user .* not found)", "there is no such user on the machine"),
    (
        r"^sudo.*: .*(password|authentication) is required|^\S+ is not in the sudoers|^Sorry, user",
        "sudo wants a password for {login!r} on the machine, or does not let it: allow it with the "
        "line `{login} ALL=(ALL) NOPASSWD: ALL` in a file of /etc/sudoers.d, or log in as root",
    ),
    (
        r"^sudo.*: .*must have a tty",
        "sudo wants a terminal on the machine (`requiretty` in its sudoers): "
        "give the source ssh_pty=True",
    ),
    (r"sudo: (command )?not found$", "there is no sudo on the machine: log in as root"),
)


def target(sudo: bool | str, login: str) -> str:
    """Whom ``sudo=`` means (True is root); empty where that is the login's own user."""
    wanted = "root" if sudo is True else sudo or login
    return "" if wanted == login else wanted


def commands(login: Commands, sudo: bool | str, name: str) -> Commands:
    """What runs commands as the user that ``sudo=`` means; ``name`` is whoever is logged in."""
    user = target(sudo, name)
    return AsUser(login, user, name) if user else login


@dataclass(frozen=True)
class AsUser:
    """Commands through sudo, which must not ask for a password. They start in the user's home.

    Args:
        login: runs sudo.
        user: whose commands they are.
        name: the login's user.

    Raises:
        CommandError: sudo refused.
    """

    login: Commands
    user: str
    name: str

    def run(
        self,
        command: str,
        *,
        text: str | None = None,
        stdin: bytes | Iterable[bytes] = b"",
        timeout: float | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> CommandResult:
        script = command if text is None else text
        if not stdin:
            script, stdin = FROM_STDIN, script.encode(errors="surrogateescape")
        result = self.login.run(
            command, text=self._sudo(script), stdin=stdin, timeout=timeout, on_output=on_output
        )
        return self.checked(result)

    @contextlib.contextmanager
    def stream(
        self, command: str, *, text: str | None = None, timeout: float | None = None
    ) -> Iterator[Stream]:
        script = self._sudo(command if text is None else text)
        with self.login.stream(command, text=script, timeout=timeout) as stream:
            yield _Stream(stream, self)

    def _sudo(self, script: str) -> str:
        script = f"{_AT_HOME}\n{script}"
        return shlex.join(["sudo", "-n", "-H", "-u", self.user, "/bin/sh", "-c", script])

    def checked(self, result: CommandResult) -> CommandResult:
        """The same, unless it is sudo's own refusal."""
        # A refusal is all that was said; on a terminal it is on stdout.
        said = "" if result.stdout and result.stderr else result.stdout or result.stderr
        for pattern, sentence in _REFUSALS if result.failed else ():
            if re.search(pattern, said, re.MULTILINE):
                option = "sudo=True" if self.user == "root" else f"sudo={self.user!r}"
                reason = sentence.format(login=self.name)
                raise CommandError(f"{option}: {reason}\nnot run: {result.command}", result)
        return result


@dataclass(frozen=True)
class _Stream:
    """A stream whose end tells whether sudo refused."""

    stream: Stream
    owner: AsUser

    def read(self, size: int = -1, /) -> bytes:
        return self.stream.read(size)

    def finish(self) -> CommandResult:
        return self.owner.checked(self.stream.finish())
