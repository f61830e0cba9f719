"""A script on a machine: it lies there while it runs, and tells which of its commands failed."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from harness.errors import CommandError, HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.model import CommandResult
    from harness.script import Script
    from harness.sources.base import Commands

QUERY_TIMEOUT = 30.0


def temporary() -> str:
    """A path on a machine for a file of ours."""
    return f"/tmp/harness-{secrets.token_hex(8)}"  # noqa: S108 - unguessable, and made 0600


def remove(commands: Commands, *paths: str) -> None:
    """Best effort: where the connection is gone or the run is stopped, so is the machine."""
    with contextlib.suppress(HarnessError):
        commands.run(f"rm -f {' '.join(paths)}", timeout=QUERY_TIMEOUT)


class RemoteScript:
    """Runs once; `close` removes what is left of it, when the machine can be reached again."""

    def __init__(self, commands: Commands, script: Script) -> None:
        self._commands = commands
        self._script = script
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
            remove(self._commands, self._path, f"{self._path}.step")

    def _failed_step(self) -> str:
        command = f"cat {self._path}.step 2>/dev/null"
        return self._script.step(self._commands.run(command, timeout=QUERY_TIMEOUT).stdout)
