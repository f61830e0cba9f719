"""A TCP relay between us and a server: it can be slow, be cut, or go dead."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Moving = queue.SimpleQueue[tuple[float, bytes]]


class Wire:
    """Listens on ``port`` until `close`.

    Args:
        target: the port of this computer to relay to.
        delay: seconds that everything is under way, in each direction.
    """

    def __init__(self, target: int, delay: float = 0.0) -> None:
        self._target = target
        self._delay = delay
        self._dead = False
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def cut(self) -> None:
        """Break off what is open; what comes next is relayed as before."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def go_dead(self) -> None:
        """Relay nothing any more, and tell nobody."""
        self._dead = True

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for end in [self._listener, *self._open]:
            end.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                for end in (here, there):  # what came apart goes on at once, as on a cable
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [here, there]
                for source, sink in ((here, there), (there, here)):
                    moving: Moving = queue.SimpleQueue()
                    self._start(self._read, source, moving)
                    self._start(self._write, moving, sink)

    def _read(self, source: socket.socket, moving: Moving) -> None:
        data = b"something"
        while data:
            try:
                data = source.recv(65536)
            except ConnectionError:
                data = b""
            if not (data and self._dead):
                moving.put((time.monotonic() + self._delay, data))

    def _write(self, moving: Moving, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = moving.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)


@contextlib.contextmanager
def to(port: int, delay: float = 0.0) -> Iterator[Wire]:
    """A wire to a port of this computer."""
    with contextlib.closing(Wire(port, delay)) as wire:
        yield wire
