"""Connections that are cut, go silent or come back: before, during and after a command."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from typing import TYPE_CHECKING

import pytest

from harness import ssh
from harness.errors import ConnectError, DisconnectedError
from tests import sshd, wire
from tests.ssh.watching import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.ssh import Connection
    from tests.sshd import Sshd
    from tests.wire import Wire

pytestmark = pytest.mark.sshd

WAYS = pytest.mark.parametrize("how", ["run", "execute"])


@contextlib.contextmanager
def over_a_wire(server: Sshd, **settings: float) -> Iterator[tuple[Wire, Connection]]:
    with wire.to(server.port) as line:
        endpoint = dataclasses.replace(server.endpoint, port=line.port, **settings)  # type: ignore[arg-type]
        with contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection:
            yield line, connection


@contextlib.contextmanager
def once(started: Path, act: Callable[[], None]) -> Iterator[None]:
    """Act as soon as a command has made a file."""

    def wait_and_act() -> None:
        if eventually(started.exists):
            act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)


@WAYS
def test_cut_before_a_command(server: Sshd, tmp_path: Path, how: str) -> None:
    with over_a_wire(server) as (line, connection):
        getattr(connection, how)("true")
        line.cut()
        for _ in range(2):
            with pytest.raises(DisconnectedError, match=r"the connection was lost (before|while)"):
                getattr(connection, how)(f"touch {tmp_path}/ran")
        assert not (tmp_path / "ran").exists()
        connection.renew()
        assert getattr(connection, how)("echo back").stdout == "back\n"


@WAYS
def test_cut_during_a_command(server: Sshd, tmp_path: Path, how: str) -> None:
    """It has no result, and is not run a second time."""
    with over_a_wire(server) as (line, connection):
        command = f"echo ran >>{tmp_path}/ran; sleep 30; echo never"
        with (
            once(tmp_path / "ran", line.cut),
            pytest.raises(DisconnectedError, match="the connection was lost while: echo ran"),
        ):
            getattr(connection, how)(command)
        connection.renew()
        assert (tmp_path / "ran").read_text() == "ran\n"


@WAYS
def test_cut_during_output(server: Sshd, tmp_path: Path, how: str) -> None:
    """What has come is no answer."""
    with over_a_wire(server) as (line, connection):
        command = f"echo half; head -c 1000000 /dev/zero; touch {tmp_path}/ran; sleep 30"
        with once(tmp_path / "ran", line.cut), pytest.raises(DisconnectedError):
            getattr(connection, how)(command)


@WAYS
def test_cut_after_a_command(server: Sshd, how: str) -> None:
    with over_a_wire(server) as (line, connection):
        result = getattr(connection, how)("echo out; exit 3")
        line.cut()
        assert (result.rc, result.stdout) == (3, "out\n")
        with pytest.raises(DisconnectedError):
            getattr(connection, how)("true")


@WAYS
def test_a_silent_connection_is_noticed(server: Sshd, tmp_path: Path, how: str) -> None:
    with over_a_wire(server, keep_alive_interval=0.2, read_write_timeout=1.0) as (line, connection):
        told = "lost while: touch .*: nothing was heard of the machine for 1 s"
        with once(tmp_path / "on", line.go_dead), pytest.raises(DisconnectedError, match=told):
            getattr(connection, how)(f"touch {tmp_path}/on; sleep 600", timeout=60)


def test_a_silent_connection_is_noticed_while_we_send(server: Sshd, tmp_path: Path) -> None:
    with over_a_wire(server, keep_alive_interval=0.2, read_write_timeout=1.0) as (line, connection):

        def endless() -> Iterator[bytes]:
            yield b"something"
            assert eventually((tmp_path / "on").exists)
            line.go_dead()
            while True:
                yield bytes(1024 * 1024)

        with pytest.raises(DisconnectedError, match="nothing was heard of the machine for 1 s"):
            connection.run(f"touch {tmp_path}/on; cat >/dev/null", stdin=endless(), timeout=60)


def test_a_quiet_command_is_no_silence(server: Sshd) -> None:
    with over_a_wire(server, keep_alive_interval=0.2, read_write_timeout=1.5) as (_, connection):
        assert connection.run("sleep 3; echo on").stdout == "on\n"


@WAYS
def test_a_restarted_server_keeps_its_sessions(tmp_path: Path, how: str) -> None:
    with (
        sshd.running(tmp_path) as server,
        contextlib.closing(ssh.connect(server.endpoint, timeout=20)) as connection,
    ):
        with once(tmp_path / "on", server.stop_listening):
            result = getattr(connection, how)(f"touch {tmp_path}/on; sleep 0.5; echo on; exit 3")
        assert (result.rc, result.stdout) == (3, "on\n")
        server.start()
        connection.renew()
        assert getattr(connection, how)("echo new").stdout == "new\n"


@WAYS
def test_a_machine_that_reboots(tmp_path: Path, how: str) -> None:
    """The server and all of its sessions are gone for a while."""
    with (
        sshd.running(tmp_path) as server,
        contextlib.closing(ssh.connect(server.endpoint, timeout=20)) as connection,
    ):
        with once(tmp_path / "on", server.stop), pytest.raises(DisconnectedError):
            getattr(connection, how)(f"touch {tmp_path}/on; sleep 30")
        later = threading.Timer(0.7, server.start)
        later.start()
        connection.renew()
        later.join()
        assert getattr(connection, how)("echo back").stdout == "back\n"


def test_a_machine_that_does_not_come_back(tmp_path: Path) -> None:
    """Whoever knows that it is gone ends the wait."""
    dead: list[str] = []
    with sshd.running(tmp_path) as server:
        connection = ssh.connect(server.endpoint, timeout=20, alive=lambda: (*dead, None)[0])
        server.stop()
        dead.append("its kernel panicked")
        with contextlib.closing(connection):
            with pytest.raises(ConnectError, match="its kernel panicked"):
                connection.renew()
            with pytest.raises(DisconnectedError):
                connection.run("true")


def test_another_machine_at_the_same_address(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with sshd.running(tmp_path / "one") as server, sshd.running(tmp_path / "two") as other:
        dead: list[str] = []
        connection = ssh.connect(server.endpoint, timeout=20, alive=lambda: (*dead, None)[0])
        with contextlib.closing(connection):
            server.stop()
            other.stop()
            other.port = server.port
            other.authorize()
            other.start()
            threading.Timer(0.7, dead.append, ["enough"]).start()
            with pytest.raises(ConnectError, match=r"enough.*before: host key different"):
                connection.renew()
