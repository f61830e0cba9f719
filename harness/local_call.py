"""One `Machine.local`: a script on this computer, and nothing left of it however it ends."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from harness import local_process, script
from harness.errors import CommandError, ConfigurationError
from harness.model import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from harness.model import CommandResult
    from harness.script import Script
    from harness.sources.base import Context

TYPE = "local"


@dataclass(frozen=True)
class LocalCall:
    """What was asked for."""

    commands: tuple[str, ...]
    script: Path | None
    env: Mapping[str, str] | None
    cwd: Path
    timeout: float | None
    valid_exit_codes: Collection[int]

    def run(self, context: Context | None, tell: Callable[[str, bytes], None]) -> CommandResult:
        """Run it for a build; without one nobody stops it but its deadline, or Ctrl-C."""
        if not self.cwd.is_dir():
            raise ConfigurationError(f"machine.local: cwd={self.cwd} is no folder")
        # Files without a name: nothing in the process list, and nothing to clean up.
        with tempfile.TemporaryFile() as text, tempfile.TemporaryFile() as step:
            made = self._script(step)
            text.write(made.text.encode(errors="surrogateescape"))
            text.seek(0)
            for line in made.title.splitlines():
                tell("command", f"here$ {line}\n".encode())
            result = self._run(made, (text, step), context, tell)
            if result.exit_status not in self.valid_exit_codes:
                step.seek(0)
                raise CommandError(made.step(step.read().decode()), result)
        return result

    def _script(self, step: IO[bytes]) -> Script:
        if self.script is None:
            return script.of_commands(self.commands, self.env, report=_path(step))
        content = script.content(self.script)
        return script.of_file(content, f"script {self.script}", str(self.script), self.env, None)

    def _run(
        self,
        made: Script,
        files: tuple[IO[bytes], ...],
        context: Context | None,
        tell: Callable[[str, bytes], None],
    ) -> CommandResult:
        with _journalled(context) as mark:
            return local_process.run(
                ["/bin/sh", "-e", _path(files[0])],
                name=made.title,
                cwd=self.cwd,
                timeout=self.timeout,
                cancelled=lambda: context is not None and context.cancel.is_set(),
                on_output=tell,
                pass_fds=[file.fileno() for file in files],
                mark=mark,
            )


@contextlib.contextmanager
def _journalled(context: Context | None) -> Iterator[str]:
    """A mark of what runs meanwhile, by which the next run finds it if we are killed."""
    mark = secrets.token_hex(16)
    if context is None:
        yield mark
        return
    process = Resource("process", mark, TYPE, context.build)
    context.journal.intend(process)
    try:
        yield mark
    finally:
        context.journal.gone(process)


class LocalProcesses:
    """What a killed run left running on this computer."""

    @classmethod
    def discard(cls, resource: Resource) -> bool:
        return local_process.kill_marked(resource.id)


def _path(file: IO[bytes]) -> str:
    return f"/dev/fd/{file.fileno()}"
