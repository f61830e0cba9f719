"""A script on a machine: it lies there while it runs, and tells which of its commands failed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from harness.errors import CommandError, DisconnectedError, HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.model import CommandResult
    from harness.script import Script
    from harness.sources.base import Commands

QUERY_TIMEOUT = 30.0


def temporary() -> str:
    """A path on a machine for a file of ours."""
    return f"/tmp/harness-{secrets.token_hex(8)}"  # noqa: S108 - unguessable, and made 0600


class Leftovers:
    """Removes files of ours from one machine: at once, or when its connection is back."""

    def __init__(self) -> None:
        self._owed: list[tuple[Commands, tuple[str, ...]]] = []

    def remove(self, commands: Commands, *paths: str) -> None:
        """Best effort: what else may go wrong has been told, or ends the machine."""
        try:
            commands.run(f"rm -f {' '.join(paths)}", timeout=QUERY_TIMEOUT)
        except DisconnectedError:
            self._owed.append((commands, paths))
        except HarnessError:
            pass

    def settle(self) -> None:
        """Try again what could not be done."""
        owed, self._owed = self._owed, []
        for commands, paths in owed:
            self.remove(commands, *paths)


class RemoteScript:
    """Runs once; `close` removes what is left of it."""

    def __init__(self, commands: Commands, script: Script, leftovers: Leftovers) -> None:
        self._commands = commands
        self._script = script
        self._leftovers = leftovers
        self._path = temporary()
        self._there = True

    def run(
        self,
        *,
        timeout: float | None,
        valid_exit_codes: Collection[int],
        on_output: Callable[[str, bytes], None],
    ) -> CommandResult:
        # The script travels on standard input: no limit on its length, nothing in the process list.
        path = self._path
        runner = (
            f"(umask 077; cat >{path}) && /bin/sh -e {path} </dev/null; "
            f"status=$?; [ $status != 0 ] || rm -f {path}; exit $status"
        )
        result = self._commands.run(
            self._script.title,
            text=runner,
            stdin=self._script.text.encode(),
            timeout=timeout,
            on_output=on_output,
        )
        self._there = result.failed
        if result.exit_status not in valid_exit_codes:
            raise CommandError(self._failed_step(), result)
        return result

    def close(self) -> None:
        if self._there:
            self._leftovers.remove(self._commands, self._path, f"{self._path}.step")

    def _failed_step(self) -> str:
        command = f"cat {self._path}.step 2>/dev/null"
        return self._script.step(self._commands.run(command, timeout=QUERY_TIMEOUT).stdout)
