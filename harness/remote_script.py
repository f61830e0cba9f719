"""A script on a machine: it lies there while it runs, and tells which of its commands failed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from harness import remote_shell
from harness.errors import CommandError, DisconnectedError, HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.model import CommandResult
    from harness.script import Script
    from harness.sources.base import Commands

QUERY_TIMEOUT = 30.0


# What was in a file of a disk, the image may still have when the file is gone: a script, which
# sets variables, lies in memory where it can. It is read and not executed: `noexec` does no harm.
# The names of variables are ours, for the script gets those that are exported.
_RUNNER = """
for harness_at in @directories; do
  [ -d "$harness_at" ] && [ -w "$harness_at" ] && [ -x "$harness_at" ] && break
done
harness_at=$harness_at/@name
(umask 077; cat >"$harness_at") && /bin/sh -e "$harness_at" </dev/null
harness_status=$?
[ $harness_status != 0 ] || rm -f "$harness_at"
exit $harness_status
"""


def temporary() -> str:
    """A name on a machine for a file of ours; nobody can guess it."""
    return f"harness-{secrets.token_hex(8)}"


def temporary_path() -> str:
    """A path on a machine for a file of ours that may be large, and has no secret."""
    return f"/tmp/{temporary()}"  # noqa: S108 - its name is nobody's guess


def _runner(name: str) -> str:
    text = _RUNNER.replace("@directories", remote_shell.DIRECTORIES)
    return text.replace("@name", name)


def _places(name: str) -> tuple[str, ...]:
    """Words of a shell: wherever the runner may have put it."""
    return tuple(f"{at}/{name}" for at in remote_shell.DIRECTORIES.split())


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
        self._name = temporary()
        self._there = True

    def run(
        self,
        *,
        timeout: float | None,
        valid_exit_codes: Collection[int],
        on_output: Callable[[str, bytes], None],
    ) -> CommandResult:
        # The script travels on standard input: no limit on its length, nothing in the process list.
        result = self._commands.run(
            self._script.title,
            text=_runner(self._name),
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
            paths = [*_places(self._name), *_places(f"{self._name}.step")]
            self._leftovers.remove(self._commands, *paths)

    def _failed_step(self) -> str:
        command = f"cat {' '.join(_places(f'{self._name}.step'))} 2>/dev/null"
        return self._script.step(self._commands.run(command, timeout=QUERY_TIMEOUT).stdout)
