"""Shell commands or scripts on this computer, for an artifact."""

from __future__ import annotations

import contextlib
import platform
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness import local_process, script
from harness.duration import seconds
from harness.errors import CommandError
from harness.local_call import LocalCall
from harness.masking import MaskedStream
from harness.post_processors.base import PostProcessor
from harness.provisioners.scripts import origin_problems, variable_problems, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from harness.post_processors.artifact import Artifact, Run
    from harness.secret import Secret

ORIGINS = ("inline", "command", "script", "scripts")
INLINE_SHEBANG = "/bin/sh -e"


@dataclass(frozen=True, kw_only=True)
class ShellLocal(PostProcessor):
    """Runs commands, or scripts, on this computer; what it was given is handed on.

    Commands find the first file of the artifact in ``HARNESS_ARTIFACT``, or what its platform
    calls it. ``PACKER_BUILD_NAME``, ``PACKER_BUILDER_TYPE`` and ``PACKER_RUN_UUID`` are set too.
    They start in the folder of the build's file, as scripts do.

    Args:
        inline: commands that are one script.
        command: one command; Packer's older name for it.
        script: a script.
        scripts: several, one after the other.
        environment_vars: ``["NAME=value"]`` or a mapping, whose values may be a `harness.Secret`.
        execute_command: the program that runs each script, with its arguments, where its ``#!``
            line does not say; ``{{.Script}}`` is the script, ``{{.Vars}}`` the variables. What is
            given to a program so is in this computer's process list.
        inline_shebang: what runs ``inline``; default ``/bin/sh -e``.
        only_on: the systems on which anything is run (``linux``, ``darwin``); default: all.
        valid_exit_codes: what counts as success; default 0 alone.
        timeout: of each script; default 3600 seconds, None: never.

    Raises:
        CommandError: when it runs, a command failed.
        CommandTimeoutError: one took too long.

    Example:
        `ShellLocal(inline=['aws s3 cp "$HARNESS_ARTIFACT" s3://images/'])`
    """

    type: ClassVar[str] = "shell-local"
    insists: ClassVar[bool] = True
    instead: ClassVar[Mapping[str, str]] = {
        "env_var_format": "variables are quoted for the shell; leave it out",
        "tempfile_extension": "scripts are told by their #! line; leave it out",
        "use_linux_pathing": "it is for Windows; leave it out",
    }
    packer_defaults: ClassVar[Mapping[str, Any]] = {"timeout": None}

    inline: Collection[str] = ()
    command: str = ""
    script: str = ""
    scripts: Collection[str] = ()
    environment_vars: Mapping[str, str | Secret] | Collection[str] = ()
    execute_command: Collection[str] = ()
    inline_shebang: str = ""
    only_on: Collection[str] = ()
    valid_exit_codes: Collection[int] = (0,)
    timeout: float | str | None = 3600

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from origin_problems(self, ORIGINS)
        yield from variable_problems(self.environment_vars)

    def apply(self, artifact: Artifact, run: Run) -> Artifact:
        if self.only_on and platform.system().lower() not in self.only_on:
            return artifact
        environment = self._environment(artifact, run)
        for content, file in self._scripts(run):
            with _said(run) as tell:
                if self.execute_command or self.inline_shebang:
                    self._execute(content, environment, run, tell)
                else:
                    self._call(file, environment, run, tell)
        return artifact

    def _environment(self, artifact: Artifact, run: Run) -> dict[str, str]:
        given = variables(self.environment_vars)
        first = str(artifact.files[0]) if artifact.files else artifact.id
        return {
            "PACKER_BUILD_NAME": artifact.source,
            "PACKER_BUILDER_TYPE": artifact.source_type,
            "PACKER_RUN_UUID": run.id,
            "HARNESS_ARTIFACT": first,
            **{n: run.reveal(f"environment_vars[{n!r}]", v) for n, v in given.items()},
        }

    @property
    def _commands(self) -> tuple[str, ...]:
        return tuple(self.inline) or ((self.command,) if self.command else ())

    def _scripts(self, run: Run) -> Iterator[tuple[bytes, Path | None]]:
        """Each script's text, and its file if it has one."""
        if self._commands:
            shebang = f"#!{self.inline_shebang or INLINE_SHEBANG}"
            yield "\n".join([shebang, *self._commands, ""]).encode(), None
        for name in [self.script] if self.script else self.scripts:
            yield script.content(run.inputs / name), run.inputs / name

    def _call(
        self,
        file: Path | None,
        environment: Mapping[str, str],
        run: Run,
        tell: Callable[[str, bytes], None],
    ) -> None:
        commands = () if file else self._commands
        call = LocalCall(
            commands, file, environment, run.inputs, self._timeout, self.valid_exit_codes
        )
        call.run(run.context, tell)

    def _execute(
        self,
        content: bytes,
        environment: Mapping[str, str],
        run: Run,
        tell: Callable[[str, bytes], None],
    ) -> None:
        """As Packer does it: the script is a file, and a program of the author's runs it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "script")
            path.write_bytes(content)
            path.chmod(0o700)
            argv = self._argv(path, environment)
            result = local_process.run(
                argv,
                name=shlex.join(self.execute_command or [str(path)]),
                cwd=run.inputs,
                environ=environment,
                timeout=self._timeout,
                cancelled=lambda: run.context is not None and run.context.cancel.is_set(),
                on_output=tell,
            )
        if result.exit_status not in self.valid_exit_codes:
            raise CommandError(result.command, result)

    def _argv(self, path: Path, environment: Mapping[str, str]) -> Sequence[str]:
        if not self.execute_command:
            return [str(path)]
        pairs = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        known = {"Vars": pairs, "Script": str(path), "Command": str(path)}
        return [self.filled_in("execute_command", word, known) for word in self.execute_command]

    @property
    def _timeout(self) -> float | None:
        return None if self.timeout is None else seconds("timeout", self.timeout)


@contextlib.contextmanager
def _said(run: Run) -> Iterator[Callable[[str, bytes], None]]:
    """What takes a program's output: it is printed, without the run's secrets."""
    streams: dict[str, MaskedStream] = {}

    def say(name: str, data: bytes) -> None:
        stream = sys.stderr if name == "stderr" else sys.stdout
        stream.write(data.decode(errors="replace"))

    def take(name: str, data: bytes) -> None:
        if name == "command":  # the terminal has the item's name, and the author the commands
            return
        if run.context is None:
            say(name, data)
            return
        masker = run.context.events.masker
        say(name, streams.setdefault(name, MaskedStream(masker)).feed(data))

    try:
        yield take
    finally:
        for name, stream in streams.items():
            say(name, stream.flush())
