"""testinfra over a machine's connection: its API untouched, ours the transport below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# testinfra has no py.typed; what users see of it is typed by Host below.
import testinfra.backend.base  # type: ignore[import-untyped]
import testinfra.host  # type: ignore[import-untyped]

from harness import users
from harness.facts import Facts
from harness.secret import MASK, Secret, reveal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from harness.model import CommandResult
    from harness.sources.base import Connection

    Reveal = Callable[[str | Secret], str]

    class Host(Protocol):
        """testinfra's Host, as far as a type checker can know it; modules are Any."""

        def run(self, command: str, *args: str | Secret) -> CommandResult: ...
        def run_expect(
            self, expected: list[int], command: str, *args: str | Secret
        ) -> CommandResult: ...
        def run_test(self, command: str, *args: str | Secret) -> CommandResult: ...
        def check_output(self, command: str, *args: str | Secret) -> str: ...
        def exists(self, command: str) -> bool: ...
        def find_command(self, command: str, extrapaths: tuple[str, ...] = ...) -> str: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    Host = testinfra.host.Host

DEFAULT_TIMEOUT = 300.0
"""Seconds that one command of a test may take."""


class Backend(testinfra.backend.base.BaseBackend):  # type: ignore[misc]  # untyped base, see above
    """testinfra's commands, through the machine's long-lived shell."""

    NAME = "harness"

    def __init__(self, connection: Connection, build: str, user: str, reveal: Reveal) -> None:
        super().__init__(build, bool(user), user or None)
        self._connection = connection
        self._reveal = reveal
        self.facts = Facts(lambda line: connection.execute(line, timeout=DEFAULT_TIMEOUT))

    def run(self, command: str, *args: str | Secret, **_: Any) -> Any:
        line = self.get_command(command, *map(self._reveal, args))
        if any(isinstance(arg, Secret) for arg in args):
            answer = self._run_unseen(command, *args)
        else:
            answer = self.facts.answer(line)
        return self.result(
            answer.exit_status, self.encode(line), answer.stdout_bytes, answer.stderr_bytes
        )

    def _run_unseen(self, command: str, *args: str | Secret) -> CommandResult:
        """Run a command that no process list shows, save what it gives to programs itself."""
        self.facts.forget()  # it may change anything
        text = self.quote(command, *map(reveal, args))
        return self._connection.run(
            self.get_command(command, *(MASK if isinstance(a, Secret) else a for a in args)),
            text=self.get_command(users.FROM_STDIN),
            stdin=text.encode(errors="surrogateescape"),
            timeout=DEFAULT_TIMEOUT,
        )


def host(connection: Connection, build: str, user: str = "", reveal: Reveal = reveal) -> Host:
    """A testinfra Host of its own for one machine: nothing is shared by address.

    Args:
        connection: the machine's.
        build: its name.
        user: whose commands they are, through sudo; empty: whoever is logged in.
        reveal: is told of each argument of a command, and returns its text.
    """
    backend = Backend(connection, build, user, reveal)
    made: Host = testinfra.host.Host(backend)
    backend.set_host(made)
    return made


def begin_test(host: Host) -> None:
    """Another test must not be told what was true in the last one."""
    host.backend.facts.forget()
