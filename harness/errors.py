"""Every error that the harness raises on purpose.

A message names the object, the value, the valid choices and the way out.

    HarnessError
    ├── ConfigurationError (ValueError)   an option, a build or a selection is wrong
    │   ├── TemplateError                 a Packer template is wrong
    │   ├── MissingValueError             a variable has no value
    │   └── UnknownVariableError (AttributeError)  `variables` has no such attribute
    ├── ToolMissingError                  a program that a source needs is not installed
    ├── SourceError                       a source could not launch, stop or capture a machine
    ├── ConnectError (ConnectionError)    no connection to the machine came about
    ├── DisconnectedError (ConnectionError)  the connection went away under a command
    ├── RebootError (TimeoutError)        a machine did not come back from a reboot in time
    ├── CommandError                      a command failed
    ├── CommandTimeoutError (TimeoutError)   a command passed its deadline
    ├── TransferError (OSError)           put or get failed
    └── CancelledError                    the run is being stopped
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.model import CommandResult

TAIL_LINES = 20


class HarnessError(Exception):
    """The root of all of them."""


class ConfigurationError(HarnessError, ValueError):
    """An option, a build or a selection is wrong; nothing was created."""


class TemplateError(ConfigurationError):
    """A Packer template is wrong; the message has file, line, column, and the line with a caret.

    ``line`` and ``column`` count characters, from 1; both are 0 where something was wrong that
    does not stand in the template, such as a value that was given on the command line.
    """

    def __init__(self, message: str, *, file: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.column = column


class MissingValueError(ConfigurationError):
    """A variable has no value; the message has each way to give it one."""


class UnknownVariableError(ConfigurationError, AttributeError):
    """`variables` was asked for a variable that nobody has declared."""


class ToolMissingError(HarnessError):
    """A program that a source needs is not installed."""


class SourceError(HarnessError):
    """A source could not launch, stop or capture a machine."""


class ConnectError(HarnessError, ConnectionError):
    """No connection to the machine came about before the deadline."""


class DisconnectedError(HarnessError, ConnectionError):
    """The connection went away before the command had an exit status."""


class RebootError(HarnessError, TimeoutError):
    """A machine did not come back from a reboot before the deadline."""


class TransferError(HarnessError, OSError):
    """A file could not be put on the machine or fetched from it."""


class CancelledError(HarnessError):
    """The run is being stopped, and this wait with it."""


class CommandError(HarnessError):
    """A command failed, on the machine or (`machine.local`) here.

    The message shows the command, its exit status and the last lines of both streams.
    """

    def __init__(self, command: str, result: CommandResult) -> None:
        super().__init__(_describe(command, f"exit status {result.exit_status}", result))
        self.command = command
        self.result = result


class CommandTimeoutError(HarnessError, TimeoutError):
    """A command passed its deadline and was killed with all that it had started.

    ``result`` holds what it printed until then; its exit status is -1.
    """

    def __init__(self, command: str, timeout: float, result: CommandResult) -> None:
        super().__init__(
            _describe(command, f"killed: not done within its timeout of {timeout:g} s", result)
        )
        self.command = command
        self.timeout = timeout
        self.result = result


def _describe(command: str, outcome: str, result: CommandResult) -> str:
    parts = [f"{command}\n{outcome}"]
    for name, text in (("stdout", result.stdout), ("stderr", result.stderr)):
        lines = text.splitlines()
        if not lines:
            parts.append(f"{name}: empty")
            continue
        cut = f", last {TAIL_LINES} of {len(lines)} lines" if len(lines) > TAIL_LINES else ""
        parts.append("\n".join([f"{name}{cut}:", *(f"  {line}" for line in lines[-TAIL_LINES:])]))
    return "\n".join(parts)
