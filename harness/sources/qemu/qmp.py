"""QEMU's control channel, as far as it is needed here: commands and their answers, one at a time.

A pair of sockets and no path: nothing to find a name for, and nothing to remove.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from harness.errors import SourceError

TIMEOUT = 60.0
"""Seconds that an answer may take."""


class Monitor:
    """Our end of the channel; QEMU is started with `arguments` and inherits ``theirs``."""

    def __init__(self) -> None:
        self._socket, self.theirs = socket.socketpair()
        self._socket.settimeout(TIMEOUT)
        self._answers = self._socket.makefile("rb")
        self._greeted = False

    @property
    def arguments(self) -> list[str]:
        channel = f"socket,id=monitor,fd={self.theirs.fileno()}"
        return ["-chardev", channel, "-mon", "chardev=monitor,mode=control"]

    def execute(self, command: str, **arguments: Any) -> Any:
        """What the command returns.

        Raises:
            SourceError: QEMU refused it, has ended, or is silent.
        """
        if not self._greeted:
            self._next()
            self._greeted = True
            self.execute("qmp_capabilities")
        message = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(message).encode())
        except OSError as error:
            raise SourceError(f"QEMU does not listen: {error}") from error
        while "event" in (answer := self._next()):
            pass
        if "error" in answer:
            raise SourceError(f"QEMU refuses {command}: {answer['error']['desc']}")
        return answer["return"]

    def close(self) -> None:
        self.theirs.close()
        self._answers.close()
        self._socket.close()

    def _next(self) -> dict[str, Any]:
        try:
            line = self._answers.readline()
        except OSError as error:
            raise SourceError(f"QEMU does not answer: {error}") from error
        if not line:
            raise SourceError("QEMU has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer
