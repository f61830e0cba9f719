"""One `Machine.shell`: a script brought to the machine, run, and removed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import remote_script, script, transfer
from harness.errors import CommandError, ConfigurationError, DisconnectedError
from harness.model import CommandResult
from harness.remote_script import RemoteScript

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.reboot import Lifeline
    from harness.remote_script import Leftovers
    from harness.script import Script
    from harness.sources.base import Commands

FOLLOW_TIMEOUT = 600.0
"""Seconds in which a machine must be back after a disconnection that was expected."""


@dataclass(frozen=True)
class ShellCall:
    """What was asked for; ``script`` is a file on this computer, instead of commands."""

    commands: tuple[str, ...]
    script: Path | None
    env: Mapping[str, str] | None
    cwd: str | None
    timeout: float | None
    valid_exit_codes: Collection[int]
    expect_disconnect: bool

    def run(
        self,
        machine: Commands,
        lifeline: Lifeline,
        leftovers: Leftovers,
        tell: Callable[[str, bytes], None],
    ) -> CommandResult:
        with contextlib.ExitStack() as undo:
            made = self._script(machine, leftovers, undo)
            remote = RemoteScript(machine, made, leftovers)
            undo.callback(remote.close)
            for line in made.title.splitlines():
                tell("command", f"$ {line}\n".encode())
            if self.expect_disconnect:
                return self._until_back(remote, made, lifeline, tell)
            return self._once(remote, tell)

    def _script(
        self, machine: Commands, leftovers: Leftovers, undo: contextlib.ExitStack
    ) -> Script:
        if self.script is None:
            return script.of_commands(self.commands, self.env, self.cwd)
        content = script.content(self.script)
        remote = remote_script.temporary_path()
        undo.callback(leftovers.remove, machine, remote)
        transfer.put(machine, str(self.script), remote, base=self.script, timeout=self.timeout)
        return script.of_file(content, f"script {self.script}", remote, self.env, self.cwd)

    def _once(self, remote: RemoteScript, tell: Callable[[str, bytes], None]) -> CommandResult:
        return remote.run(
            timeout=self.timeout, valid_exit_codes=self.valid_exit_codes, on_output=tell
        )

    def _until_back(
        self,
        remote: RemoteScript,
        made: Script,
        lifeline: Lifeline,
        tell: Callable[[str, bytes], None],
    ) -> CommandResult:
        before, failure = lifeline.boot_id(), None
        result = CommandResult(made.title, -1)
        try:
            result = self._once(remote, tell)
        except DisconnectedError:
            pass
        except CommandError as error:  # perhaps killed because the machine goes down
            failure = error
        went = lifeline.follow(before, FOLLOW_TIMEOUT)
        if failure is not None and not went:
            raise failure
        return result


def commands_or_script(call: str, commands: tuple[str, ...], script: object) -> None:
    """Refuse both, and neither."""
    if bool(commands) == (script is not None):
        given = "both are given" if commands else "neither is given"
        raise ConfigurationError(f"{call} takes commands, or script=: {given}")
    for command in commands:
        if not isinstance(command, str):
            raise ConfigurationError(
                f'{call} takes commands that are text, as in {call}("apt-get update", "id"); '
                f"{command!r} is none"
            )


def exit_codes(call: str, codes: object) -> frozenset[int]:
    """What counts as success.

    Raises:
        ConfigurationError: it is no collection of exit statuses.
    """
    listed = list(codes) if isinstance(codes, Collection) and not isinstance(codes, str) else []
    if not listed or not all(type(code) is int and code in range(256) for code in listed):
        raise ConfigurationError(
            f"{call} with valid_exit_codes={codes!r}: write numbers from 0 to 255, as in [0, 3]"
        )
    return frozenset(listed)
