"""QEMU's control channel, as far as it is needed here: commands one at a time, and disk errors.

A pair of sockets and no path: nothing to find a name for, and nothing to remove.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from typing import Any

from harness.errors import SourceError

TIMEOUT = 60.0
"""Seconds that an answer may take."""


class Monitor:
    """Our end of the channel; QEMU is started with `arguments` and inherits ``theirs``."""

    def __init__(self) -> None:
        self._socket, self.theirs = socket.socketpair()
        self._socket.settimeout(TIMEOUT)
        self._unread = b""
        self._greeted = False
        self._disk_error: str | None = None
        self._lock = threading.RLock()

    @property
    def arguments(self) -> list[str]:
        channel = f"socket,id=monitor,fd={self.theirs.fileno()}"
        return ["-chardev", channel, "-mon", "chardev=monitor,mode=control"]

    def execute(self, command: str, **arguments: Any) -> Any:
        """What the command returns.

        Raises:
            SourceError: QEMU refused it, has ended, or is silent.
        """
        with self._lock:
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
                self._note(answer)
        if "error" in answer:
            raise SourceError(f"QEMU refuses {command}: {answer['error']['desc']}")
        return answer["return"]

    def disk_error(self) -> str | None:
        """For which error of a disk QEMU has stopped the machine; None: for none yet."""
        with self._lock, contextlib.suppress(SourceError):  # it has ended: others see that
            while self._has_word():
                if self._greeted:
                    self._note(self._next())
                else:
                    self.execute("query-status")
        return self._disk_error

    def close(self) -> None:
        with self._lock:
            self.theirs.close()
            self._socket.close()

    def _note(self, event: dict[str, Any]) -> None:
        if event["event"] == "BLOCK_IO_ERROR" and event["data"]["action"] == "stop":
            self._disk_error = event["data"]["reason"]

    def _has_word(self) -> bool:
        if b"\n" in self._unread:
            return True
        return self._socket.fileno() >= 0 and bool(select.select([self._socket], [], [], 0)[0])

    def _next(self) -> dict[str, Any]:
        while b"\n" not in self._unread:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise SourceError(f"QEMU does not answer: {error}") from error
            if not data:
                raise SourceError("QEMU has ended")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
