"""Commands of another user, over the login that there is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from harness.model import CommandResult
    from harness.sources.base import Commands, Stream

# As after a login of the user's own: sudo stays where it is, perhaps a folder closed to the user.
_AT_HOME = "cd 2>/dev/null || cd /"
# Where standard input is free, the text comes there: of any length, and no process list shows it.
_FROM_STDIN = 'c=$(cat); exec </dev/null; eval "unset c; $c"'


def target(sudo: bool | str, login: str) -> str:
    """Whom ``sudo=`` means (True is root); empty where that is the login's own user."""
    wanted = "root" if sudo is True else sudo or login
    return "" if wanted == login else wanted


def commands(login: Commands, user: str) -> Commands:
    """What runs commands as the user; empty: as whoever is logged in."""
    return AsUser(login, user) if user else login


@dataclass(frozen=True)
class AsUser:
    """Commands through sudo, which must not ask for a password. They start in the user's home."""

    login: Commands
    user: str

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
            script, stdin = _FROM_STDIN, script.encode(errors="surrogateescape")
        return self.login.run(
            command, text=self._sudo(script), stdin=stdin, timeout=timeout, on_output=on_output
        )

    def stream(
        self, command: str, *, text: str | None = None, timeout: float | None = None
    ) -> AbstractContextManager[Stream]:
        script = self._sudo(command if text is None else text)
        return self.login.stream(command, text=script, timeout=timeout)

    def _sudo(self, script: str) -> str:
        script = f"{_AT_HOME}\n{script}"
        return shlex.join(["sudo", "-n", "-H", "-u", self.user, "/bin/sh", "-c", script])
