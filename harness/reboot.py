"""A machine's connection through a reboot: the boot id proves that it went, and that it is back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness import cloud_init
from harness.errors import (
    CommandError,
    CommandTimeoutError,
    ConfigurationError,
    ConnectError,
    DisconnectedError,
    RebootError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.sources.base import Commands, Connection, Context

BOOT_ID = "/proc/sys/kernel/random/boot_id"
REBOOT = "systemctl reboot || reboot || shutdown -r now"
# What systemd says on its way down, while sshd may still let us in.
_STOPPING = "stopping"
_STATE = f"cat {BOOT_ID} 2>/dev/null || echo unknown; systemctl is-system-running 2>/dev/null"
_UNKNOWN = "unknown"

QUERY_TIMEOUT = 30.0
GOING = 10.0
"""Seconds that a machine may take over cutting the connection: one that is there after them was
not meant to go, or is going down slowly."""
LOOK = 0.1


class Lifeline:
    """A machine's connection, and how to get it back.

    Args:
        connection: the machine's; the same object before and after.
        revive: asked while a machine is waited for, see `Source.revive`.
        context: the build's.
    """

    def __init__(
        self, connection: Connection, revive: Callable[[], None], context: Context
    ) -> None:
        self._connection = connection
        self._revive = revive
        self._context = context

    def reboot(self, root: Commands, timeout: float) -> None:
        """Reboot and wait until the machine is back; ``root`` runs commands of who may do so.

        Raises:
            RebootError: it is not back in time.
            CommandError: it refuses to reboot.
            ConfigurationError: it has no boot id.
        """
        before, deadline = self.boot_id(), time.monotonic() + timeout
        if before == _UNKNOWN:
            raise ConfigurationError(
                f"{self._context.build}: a reboot can be proved on Linux only: no {BOOT_ID}"
            )
        self._send_down(root)
        self._follow(before, deadline, must_reboot=True)

    def boot_id(self) -> str:
        return self._look()[0]

    def follow(self, before: str, timeout: float) -> bool:
        """Wait until the machine is usable after what may have cut the connection or rebooted it.

        Args:
            before: the boot id from then.
            timeout: seconds.

        Returns:
            Whether the connection went.

        Raises:
            RebootError: it is not back in time.
        """
        return self._follow(before, time.monotonic() + timeout, must_reboot=False)

    def restore(self) -> None:
        """Log in again where the connection is known to be gone."""
        if self._connection.lost:
            self._connection.renew(alive=self._revive)

    def _send_down(self, root: Commands) -> None:
        try:
            result = root.run(REBOOT, timeout=QUERY_TIMEOUT)
        except (DisconnectedError, CommandTimeoutError):
            return  # it went before it could answer
        if 0 < result.exit_status < 128:  # noqa: PLR2004 - above, a signal of the shutdown's
            raise CommandError(REBOOT, result)

    def _follow(self, before: str, deadline: float, *, must_reboot: bool) -> bool:
        # A login that outlived its machine would answer nothing, ever.
        went = silent = must_reboot
        while True:
            if self._is_lost_within(GOING) or silent:
                self._log_in(deadline)
                went = True
            try:
                boot, state = self._look()
            except (DisconnectedError, CommandTimeoutError):
                boot, state, silent = before, _STOPPING, True
            if boot != before:
                cloud_init.wait(self._connection, self._context.build)
                return went
            if state != _STOPPING and not must_reboot:
                return went
            self._check(deadline, boot)

    def _check(self, deadline: float, boot: str) -> None:
        if time.monotonic() > deadline:
            raise RebootError(
                f"{self._context.build}: the machine has not rebooted in time: "
                f"its boot id is {boot}, as before"
            )

    def _is_lost_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self._connection.lost:
            if time.monotonic() > end:
                return False
            self._context.cancel.sleep(LOOK)
        return True

    def _log_in(self, deadline: float) -> None:
        try:
            left = max(1.0, deadline - time.monotonic())
            self._connection.renew(timeout=left, alive=self._revive)
        except ConnectError as error:
            raise RebootError(
                f"{self._context.build}: the machine did not come back: {error}"
            ) from error

    def _look(self) -> tuple[str, str]:
        """The boot id, and what systemd says of itself, if it is there."""
        lines = self._connection.run(_STATE, timeout=QUERY_TIMEOUT).stdout.splitlines()
        return lines[0], lines[-1]
