"""Shell commands or scripts on this computer."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.provisioners.scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.machine import Machine


@dataclass(frozen=True, kw_only=True)
class ShellLocal(Scripts):
    """Runs commands, or scripts, on this computer: `Machine.local` as data.

    Args:
        inline: commands that are one script.
        command: one command; Packer's older name for it.
        script: a script; a relative path starts at the build's file.
        scripts: several, one after the other.
        environment_vars: see `Shell`.
        only_on: the systems on which anything is run (``linux``, ``darwin``); default: all.
        valid_exit_codes: what counts as success; default 0 alone.

    Example:
        `ShellLocal(inline=["make site"])`
    """

    type: ClassVar[str] = "shell-local"
    instead: ClassVar[Mapping[str, str]] = {
        "execute_command": "a script's own #! line says what runs it; leave it out",
        "inline_shebang": "commands are run by /bin/sh -e; write a script with a #! line",
    }

    command: str = ""
    only_on: Collection[str] = ()

    def apply(self, machine: Machine) -> None:
        if self.only_on and platform.system().lower() not in self.only_on:
            return
        if commands := self.inline or ([self.command] if self.command else []):
            self._local(machine, *commands)
        for file in self.files:
            self._local(machine, script=file)

    def _local(self, machine: Machine, *commands: str, script: str | None = None) -> None:
        machine.local(
            *commands,
            script=script,
            env={"PACKER_RUN_UUID": machine.context.uuid, **self.environment(machine)},
            timeout=self.timeout_seconds,
            valid_exit_codes=self.valid_exit_codes,
        )

    def _origins(self) -> list[str]:
        return ["inline", "command", "script", "scripts"]
