"""Shell commands or scripts on the machine."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness import script
from harness.duration import seconds
from harness.errors import ConfigurationError
from harness.provisioners.scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.machine import Machine
    from harness.secret import Secret

EXECUTE_COMMAND = "{{.Vars}} {{.Path}}"
INLINE_SHEBANG = "/bin/sh -e"

# A script may hold a secret, which an image would keep in what its disk has as free. Folders in
# memory may be mounted `noexec`: whether what lies there can be run shows when it is.
_IN_MEMORY = (
    'for at in /dev/shm /run; do f=$(mktemp "$at/harness.XXXXXXXXXX" 2>/dev/null) || continue; '
    'echo "#!/bin/sh" >"$f"; chmod 700 "$f"; "$f" 2>/dev/null && rm -f "$f" && echo "$at" && break'
    '; rm -f "$f"; done'
)


@dataclass(frozen=True, kw_only=True)
class Shell(Scripts):
    """Runs commands, or scripts of this computer, on the machine: `Machine.shell` as data.

    Args:
        inline: commands that are one script.
        script: a local script; a relative path starts at the build's file.
        scripts: several, one after the other.
        environment_vars: ``["NAME=value"]`` or a mapping, whose values may be a `harness.Secret`.
            ``PACKER_BUILD_NAME`` and ``PACKER_BUILDER_TYPE`` are set too.
        execute_command: how the script is run once it is on the machine; ``{{.Path}}`` is where,
            ``{{.Vars}}`` the variables. Default: with the variables, by its ``#!`` line. What is
            given to a program (``sudo env {{.Vars}} …``) the machine's process list has.
        inline_shebang: what runs ``inline``; default ``/bin/sh -e``.
        remote_path: where the script lies meanwhile; default: a new name in a folder in memory
            (/dev/shm or /run) if scripts can be run there, else in /tmp.
        sudo: run as root, or as the user of that name; ours, since ``execute_command`` is clumsy.
        expect_disconnect: see `Machine.shell`; default False.
        valid_exit_codes: what counts as success; default 0 alone.
        pause_after: how long to wait when all is done; default 0.

    Example:
        `Shell(inline=["apt-get update"], sudo=True, max_retries=3)`
    """

    type: ClassVar[str] = "shell"
    instead: ClassVar[Mapping[str, str]] = {
        "start_retry_timeout": "max_retries tries again; leave it out",
        "skip_clean": "what was uploaded is always removed; leave it out",
        "binary": "scripts are sent as they are, and Windows line ends refused; leave it out",
    }

    execute_command: str = ""
    inline_shebang: str = ""
    remote_path: str = ""
    sudo: bool | str = False
    expect_disconnect: bool = False
    pause_after: float | str = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        seconds("pause_after", self.pause_after)

    def apply(self, machine: Machine) -> None:
        environment = self.environment(machine)
        if self.execute_command or self.inline_shebang or self.remote_path:
            for content in self._contents(machine):
                self._upload_and_run(machine, content, environment)
        elif self.inline:
            self._shell(machine, *self.inline, env=environment)
        else:
            for file in self.files:
                self._shell(machine, script=file, env=environment)
        if pause := seconds("pause_after", self.pause_after):
            machine.pause(pause)

    def _contents(self, machine: Machine) -> list[bytes]:
        if not self.inline:
            return [script.content(machine.context.directory / file) for file in self.files]
        shebang = f"#!{self.inline_shebang or INLINE_SHEBANG}"
        return ["\n".join([shebang, *self.inline, ""]).encode()]

    def _upload_and_run(
        self, machine: Machine, content: bytes, environment: Mapping[str, str | Secret]
    ) -> None:
        path = self.remote_path or _place(machine, content)
        given = {
            n: machine.context.reveal(f"environment_vars[{n!r}]", v) for n, v in environment.items()
        }
        command = _render(self.execute_command or EXECUTE_COMMAND, path, given)
        try:
            machine.write(content, path, mode=0o755, timeout=self.timeout_seconds)
            self._shell(machine, command)
        finally:
            machine.discard(path)

    def _shell(
        self,
        machine: Machine,
        *commands: str,
        script: str | None = None,
        env: Mapping[str, str | Secret] | None = None,
    ) -> None:
        machine.shell(
            *commands,
            script=script,
            env=env,
            sudo=self.sudo,
            timeout=self.timeout_seconds,
            valid_exit_codes=self.valid_exit_codes,
            expect_disconnect=self.expect_disconnect,
        )


def _place(machine: Machine, content: bytes) -> str:
    """Always the same for the same script: the machine's next life knows the call by it."""
    folder = machine.run(_IN_MEMORY).stdout.strip() or "/tmp"  # noqa: S108 - `write` replaces whatever is there
    return f"{folder}/harness-{hashlib.sha256(content).hexdigest()[:16]}"


def _render(template: str, path: str, environment: Mapping[str, str]) -> str:
    """An ``execute_command`` with its fields filled in."""
    fields = {
        "Path": shlex.quote(path),
        "Vars": " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items()),
    }

    def field(match: re.Match[str]) -> str:
        if match[1] not in fields:
            raise ConfigurationError(
                f"execute_command={template!r}: there is no {match[0]}; "
                f"fields are {', '.join(f'{{{{.{name}}}}}' for name in fields)}"
            )
        return fields[match[1]]

    return re.sub(r"\{\{\s*\.(\w+)\s*\}\}", field, template)
