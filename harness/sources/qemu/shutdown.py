"""The end of a machine whose image is to be taken: the guest switches itself off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.errors import CommandError, CommandTimeoutError, DisconnectedError, SourceError
from harness.secret import reveal

if TYPE_CHECKING:
    from harness.cancel import CancelToken
    from harness.model import CommandResult
    from harness.sources.base import Connection
    from harness.sources.qemu import Qemu
    from harness.sources.qemu.vm import VirtualMachine

# What systemctl would ask for, without starting it; where no systemd is, the others do it.
POWEROFF = (
    "if [ -d /run/systemd/system ] && kill -s RTMIN+4 1; then exit; fi; "
    "systemctl poweroff || poweroff || shutdown -h now"
)
NOT_FOUND = (126, 127)
"""A shell's exit status where there is no such program."""


def shut_down(
    source: Qemu, vm: VirtualMachine, connection: Connection, cancel: CancelToken
) -> None:
    """Tell the guest, and wait until it is off.

    Raises:
        SourceError: it is not within ``shutdown_timeout``, or its QEMU ended otherwise.
        CommandError: it has no such program.
    """
    deadline = time.monotonic() + source.shutdown_timeout
    answer = _tell(source, vm, connection)
    connection.close()
    vm.wait(deadline - time.monotonic(), cancel)
    if vm.has_shut_down():
        return
    reason = vm.stopped()
    said = f"{vm.id}: {reason}" if reason else _too_late(source, vm)
    if answer is not None and answer.failed:
        said += f"\n{CommandError(_command(source), answer)}"
    raise SourceError(said)


def _tell(source: Qemu, vm: VirtualMachine, connection: Connection) -> CommandResult | None:
    """What the command answered; None: it ended the connection, as it should be."""
    command = _command(source)
    try:
        answer = connection.run(command, timeout=source.shutdown_timeout)
    except DisconnectedError:
        return None
    except CommandTimeoutError as error:
        raise SourceError(f"{_too_late(source, vm)}; its command went on: {error}") from error
    if answer.exit_status in NOT_FOUND:
        raise CommandError(command, answer)
    return answer


def _command(source: Qemu) -> str:
    if given := reveal(source.shutdown_command):
        return given
    command = POWEROFF
    return command if source.ssh_username == "root" else f"sudo -n /bin/sh -c '{command}'"


def _too_late(source: Qemu, vm: VirtualMachine) -> str:
    how = "shutdown_command" if source.shutdown_command else "poweroff"
    return (
        f"{vm.id} has not switched itself off within shutdown_timeout={source.shutdown_timeout:g} "
        f"s after {how}"
    )
