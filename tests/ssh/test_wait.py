from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from harness import keys, ssh
from harness.errors import (
    CancelledError,
    ConfigurationError,
    ConnectError,
)
from harness.model import Endpoint
from harness.ssh import wait as ssh_wait
from tests import sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


with_sshd = pytest.mark.sshd
MIB = 1024 * 1024


@contextlib.contextmanager
def listening(serve: Callable[[int, socket.socket], bool]) -> Iterator[int]:
    """A TCP server that calls ``serve(number, connection)`` in order; true: keep it open."""
    with contextlib.ExitStack() as stack, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)

        def accept() -> None:
            for number in range(1000):
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                if serve(number, accepted):
                    stack.callback(accepted.close)
                else:
                    accepted.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def endpoint(port: int) -> Endpoint:
    private, public = keys.generate_key()
    return Endpoint("127.0.0.1", port, "nobody", private, public)


def wait_for(port: int, timeout: float = 10) -> ssh_wait.Wait:
    return ssh_wait.Wait(endpoint(port), timeout)


def banner_of(port: int, timeout: float = 10) -> bytes:
    with ssh_wait.first_to_answer(wait_for(port, timeout)) as answering:
        return answering.recv(100)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_wait, "OVERLAP", 0.2)


@pytest.mark.usefixtures("impatient")
def test_a_silent_connection_does_not_hold_up_the_next() -> None:
    def serve(number: int, accepted: socket.socket) -> bool:
        if number:
            accepted.sendall(b"SSH-2.0-second\r\n")
        return True

    with listening(serve) as port:
        assert banner_of(port) == b"SSH-2.0-second\r\n"


def test_a_server_that_is_known_to_listen_is_asked_afresh_at_once() -> None:
    asked: list[int] = []

    def serve(number: int, accepted: socket.socket) -> bool:
        asked.append(number)
        if number:
            accepted.sendall(b"SSH-2.0-ready\r\n")
        return True

    # One silent attempt; the next would come after OVERLAP, which is longer than this wait.
    with listening(serve) as port:
        wait = ssh_wait.Wait(
            endpoint(port),
            ssh_wait.OVERLAP - 0.5,
            ready=lambda: bool(asked),
        )
        with ssh_wait.first_to_answer(wait) as answering:
            assert answering.recv(100) == b"SSH-2.0-ready\r\n"


def test_closed_connections_are_tried_again_at_once() -> None:
    def serve(number: int, accepted: socket.socket) -> bool:
        if number == 5:
            accepted.sendall(b"SSH-2.0-sixth\r\n")
        return number == 5

    with listening(serve) as port:
        assert banner_of(port, timeout=3) == b"SSH-2.0-sixth\r\n"


@pytest.mark.usefixtures("impatient")
def test_a_slow_banner_is_waited_for_on_its_own_connection() -> None:
    def serve(number: int, accepted: socket.socket) -> bool:
        if number == 0:
            threading.Timer(0.5, accepted.sendall, [b"SSH-2.0-slow\r\n"]).start()
        return True

    with listening(serve) as port:
        assert banner_of(port) == b"SSH-2.0-slow\r\n"


def test_a_server_that_listens_late_is_found() -> None:
    port = sshd.free_port()

    def listen() -> None:
        with socket.create_server(("127.0.0.1", port)) as listener:
            accepted, _ = listener.accept()
            accepted.sendall(b"SSH-2.0-late\r\n")
            accepted.close()

    timer = threading.Timer(0.4, listen)
    timer.start()
    assert banner_of(port) == b"SSH-2.0-late\r\n"
    timer.join()


@pytest.mark.usefixtures("impatient")
def test_the_losers_are_closed() -> None:
    first: list[socket.socket] = []

    def serve(number: int, accepted: socket.socket) -> bool:
        if number:
            accepted.sendall(b"SSH-2.0-second\r\n")
        else:
            first.append(accepted)
        return True

    with listening(serve) as port:
        banner_of(port)
        first[0].settimeout(5)
        assert first[0].recv(1) == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("serve", "seen"),
    [
        (lambda _n, _c: True, "accepted, but no SSH banner came"),
        (lambda _n, _c: False, "accepted and closed again: no SSH banner came"),
        (lambda _n, c: c.sendall(b"HTTP/1.1 400\r\n\r\n"), "not as an SSH server: .*HTTP"),
    ],
)
def test_the_error_says_what_was_seen_last(
    serve: Callable[[int, socket.socket], bool], seen: str
) -> None:
    with (
        listening(serve) as port,
        pytest.raises(ConnectError, match=f"nobody@.*no login after \\d+ s.*{seen}"),
    ):
        ssh.connect(endpoint(port), timeout=0.4)


def test_the_error_says_that_nothing_listens() -> None:
    with pytest.raises(ConnectError, match="nothing listens"):
        ssh.connect(endpoint(sshd.free_port()), timeout=0.3)


def test_the_error_says_that_the_name_is_unknown() -> None:
    nowhere = dataclasses.replace(endpoint(22), host="nowhere.invalid")
    with pytest.raises(ConnectError, match=r"nowhere\.invalid:22: no login .*connection failed"):
        ssh.connect(nowhere, timeout=0.3)


def test_a_dead_machine_ends_the_wait_at_once() -> None:
    with pytest.raises(ConnectError, match="qemu has exited with status 1"):
        ssh.connect(
            endpoint(sshd.free_port()), timeout=60, alive=lambda: "qemu has exited with status 1"
        )


def test_a_wait_can_be_cancelled() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with listening(lambda _n, _c: True) as port, pytest.raises(CancelledError):
        ssh.connect(endpoint(port), timeout=60, cancelled=stop.is_set)


def test_bad_keys_are_told_before_anything_is_tried() -> None:
    good = endpoint(1)
    with pytest.raises(ConfigurationError, match="host key 'ssh-ed25519' is no public key"):
        ssh.connect(dataclasses.replace(good, host_key="ssh-ed25519"), timeout=60)
    with pytest.raises(ConfigurationError, match="private key cannot be read"):
        ssh.connect(dataclasses.replace(good, private_key="x"), timeout=60)
