"""SOCKS5: a connection through a proxy, for us and (run as a program) for ssh's ProxyCommand."""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
from pathlib import Path

from harness.model import Proxy

TIMEOUT = 15.0
CHUNK = 64 * 1024
STDIN = 0


def connect(proxy: Proxy, host: str, port: int) -> socket.socket:
    """A connection through a proxy, which also resolves the name.

    Raises:
        OSError: none came about within 15 s; says why.
    """
    import python_socks
    import python_socks.sync

    way = python_socks.sync.Proxy(
        python_socks.ProxyType.SOCKS5,
        proxy.host,
        proxy.port,
        proxy.username or None,
        proxy.password or None,
    )
    try:
        connected: socket.socket = way.connect(host, port, timeout=TIMEOUT)
    except python_socks.ProxyError as error:
        raise OSError(str(error)) from error
    connected.settimeout(None)
    return connected


def relay(connected: socket.socket) -> None:
    """Copy standard input to a connection and what it says to standard output, until it ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(STDIN, selectors.EVENT_READ)
        selector.register(connected, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, CHUNK)
                if key.fd == STDIN and data:
                    connected.sendall(data)
                elif key.fd == STDIN:
                    selector.unregister(STDIN)
                    connected.shutdown(socket.SHUT_WR)
                elif data:
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
                else:
                    return


def main(file: str, host: str, port: str) -> None:
    """Relay through the proxy that a JSON file describes: a command line would show a password."""
    proxy = Proxy(**json.loads(Path(file).read_text(encoding="utf-8")))
    with connect(proxy, host, int(port)) as connected:
        relay(connected)


if __name__ == "__main__":
    main(*sys.argv[1:])
