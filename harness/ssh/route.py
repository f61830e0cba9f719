"""The way to an SSH server: straight, through a SOCKS5 proxy, through a bastion."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import paramiko

from harness import socks
from harness.ssh.transport import Line, Transport
from harness.ssh.wait import first_to_answer

if TYPE_CHECKING:
    from harness.model import Proxy
    from harness.ssh.wait import Wait

DIAL_TIMEOUT = 15.0
DIAL_PAUSE = 1.0


def dial(wait: Wait) -> Line:
    """A line to the server; through its proxy, where it has one.

    Raises:
        CancelledError, ConnectError: see `Wait.check`.
    """
    if wait.endpoint.proxy is None:
        answering = first_to_answer(wait)
        wait.seen = "an SSH banner came, but the handshake was not done"
    else:
        answering = _dial_by(wait.endpoint.proxy, wait)
    answering.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # 40 ms a command otherwise
    return Line(answering)


def through(bastion: Transport, wait: Wait) -> Line:
    """A line to the server through a login on another one, which ends with the line.

    Raises:
        CancelledError, ConnectError: see `Wait.check`.
        SSHException: the bastion was lost.
    """
    target = (wait.endpoint.host, wait.endpoint.port)

    def open_channel() -> paramiko.Channel:
        source = ("127.0.0.1", 0)
        return bastion.open_channel("direct-tcpip", target, source, timeout=DIAL_TIMEOUT)

    while True:
        wait.seen = "the bastion is asked to connect us"
        try:
            channel = wait.during(open_channel, paramiko.Channel.close)
        except paramiko.ChannelException as error:
            wait.seen = f"the bastion does not get there: {error.text}"
            wait.pause(DIAL_PAUSE)
        else:
            wait.seen = "the bastion connected us, but the SSH handshake was not done"
            return Line(channel, bastion)


def _dial_by(proxy: Proxy, wait: Wait) -> socket.socket:
    endpoint, name = wait.endpoint, f"the proxy {proxy.host}:{proxy.port}"
    while True:
        wait.seen = f"{name} is asked to connect us"
        try:
            connected = wait.during(
                lambda: socks.connect(proxy, endpoint.host, endpoint.port), socket.socket.close
            )
        except OSError as error:
            wait.seen = f"{name} does not get there: {error}"
            wait.pause(DIAL_PAUSE)
        else:
            wait.seen = f"{name} connected us, but the SSH handshake was not done"
            return connected
