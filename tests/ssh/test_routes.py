"""Ways to a server that is not reached straight, and the same ways for `ssh -F`."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from harness import keys, ssh
from harness.errors import CancelledError, CommandTimeoutError, ConnectError, DisconnectedError
from harness.model import Endpoint, Proxy
from harness.ssh.keys import known_hosts
from tests import sshd
from tests.ssh.watching import all_gone, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sshd import Sshd

pytestmark = pytest.mark.sshd


@pytest.fixture(scope="module")
def bastion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("bastion")) as server:
        yield server


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """A SOCKS5 server that wants a password."""
    port = sshd.free_port()
    command = ["microsocks", "-i", "127.0.0.1", "-p", str(port), "-u", "me", "-P", "it's %h"]
    try:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("microsocks is not installed")
    assert eventually(lambda: _listens(port))
    yield Proxy("127.0.0.1", port, "me", "it's %h")
    process.kill()
    process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


Route = Callable[[Endpoint, Endpoint, Proxy], Endpoint]

ROUTES: dict[str, Route] = {
    "straight": lambda to, _bastion, _proxy: to,
    "by a name": lambda to, _bastion, _proxy: dataclasses.replace(to, host="localhost"),
    "through a bastion": lambda to, bastion, _: dataclasses.replace(to, bastion=bastion),
    "through a proxy": lambda to, _, proxy: dataclasses.replace(to, proxy=proxy),
    "through a proxy, then a bastion": lambda to, bastion, proxy: dataclasses.replace(
        to, bastion=dataclasses.replace(bastion, proxy=proxy)
    ),
}


@pytest.fixture(params=ROUTES)
def routed(request: pytest.FixtureRequest, server: Sshd, bastion: Sshd, proxy: Proxy) -> Endpoint:
    route: Route = ROUTES[request.param]
    return route(server.endpoint, bastion.endpoint, proxy)


def test_a_connection_by_any_route(routed: Endpoint) -> None:
    before = set(threading.enumerate())
    with contextlib.closing(ssh.connect(routed, timeout=20)) as connection:
        data = bytes(range(256)) * 20_000
        assert connection.run("cat", stdin=data, timeout=60).stdout_bytes == data
        assert connection.execute("echo out").stdout == "out\n"
        with pytest.raises(CommandTimeoutError) as caught:
            connection.run("echo $$; exec sleep 987", timeout=0.5)
        assert all_gone(caught.value.result.stdout.split())
        connection.renew()
        assert connection.execute("echo out").stdout == "out\n"
    assert eventually(lambda: set(threading.enumerate()) <= before)


def test_any_tool_takes_the_same_route(routed: Endpoint, tmp_path: Path) -> None:
    with contextlib.closing(ssh.connect(routed, timeout=20)) as connection:
        config = connection.ssh_config(tmp_path)
    assert {f.stat().st_mode & 0o777 for f in tmp_path.iterdir()} == {0o600}
    assert _tool("ssh", "-F", config, "default", "id -un; cat", stdin="in") == (
        f"{routed.username}\nin"
    )
    (tmp_path / "file").write_text("content")
    _tool("scp", "-q", "-F", config, tmp_path / "file", f"default:{tmp_path}/copy")
    assert (tmp_path / "copy").read_text() == "content"


def _tool(*command: str | Path, stdin: str = "") -> str:
    # Nothing but the file: no agent, no home of whoever runs the tests.
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr.splitlines()) == (0, [])
    return done.stdout


def test_a_tool_does_not_talk_to_another_machine(server: Sshd, tmp_path: Path) -> None:
    with contextlib.closing(ssh.connect(server.endpoint, timeout=20)) as connection:
        config = connection.ssh_config(tmp_path)
    _, other = keys.generate_key()
    (tmp_path / "known_hosts").write_text(f"default {other}\n")
    done = subprocess.run(
        ["ssh", "-F", config, "default", "true"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_a_tool_with_an_agent(server: Sshd, agent: None, tmp_path: Path) -> None:
    key = server.endpoint.private_key.encode()
    subprocess.run(["ssh-add", "-q", "-"], input=key, capture_output=True, check=True)
    endpoint = dataclasses.replace(server.endpoint, private_key="", agent_auth=True)
    with contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection:
        config = connection.ssh_config(tmp_path)
    assert _tool("ssh", "-F", config, "default", "echo out") == "out\n"


# When there is no way


def test_an_unknown_bastion_is_not_used(server: Sshd, bastion: Sshd) -> None:
    _, other = keys.generate_key()
    stranger = dataclasses.replace(bastion.endpoint, host_key=other)
    told = rf"ssh .*@127.0.0.1:{bastion.port}: no login .*host key different"
    with pytest.raises(ConnectError, match=told):
        ssh.connect(dataclasses.replace(server.endpoint, bastion=stranger), timeout=0.5)


def test_a_machine_that_the_bastion_does_not_reach(server: Sshd, bastion: Sshd) -> None:
    endpoint = dataclasses.replace(server.endpoint, port=sshd.free_port(), bastion=bastion.endpoint)
    with pytest.raises(ConnectError, match="the bastion does not get there: Connect failed"):
        ssh.connect(endpoint, timeout=1.5)


def test_a_machine_that_comes_up_behind_the_bastion(bastion: Sshd, tmp_path: Path) -> None:
    late = sshd.Sshd.make(tmp_path)
    timer = threading.Timer(0.7, late.start)
    timer.start()
    endpoint = dataclasses.replace(late.endpoint, bastion=bastion.endpoint)
    ssh.connect(endpoint, timeout=30).close()
    timer.join()
    late.stop()


def test_a_bastion_that_is_lost(server: Sshd, tmp_path: Path) -> None:
    with sshd.running(tmp_path) as bastion:
        endpoint = dataclasses.replace(server.endpoint, bastion=bastion.endpoint)
        with contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection:
            timer = threading.Timer(0.5, bastion.stop)
            timer.start()
            with pytest.raises(DisconnectedError, match="lost while: sleep 30"):
                connection.run("sleep 30")
            timer.join()


def test_a_proxy_that_refuses(server: Sshd, proxy: Proxy) -> None:
    wrong = dataclasses.replace(proxy, password="wrong")
    told = rf"the proxy 127.0.0.1:{proxy.port} does not get there: .*[Aa]uthentication"
    with pytest.raises(ConnectError, match=told):
        ssh.connect(dataclasses.replace(server.endpoint, proxy=wrong), timeout=0.5)


def test_no_proxy_there(server: Sshd) -> None:
    nobody = Proxy("127.0.0.1", sshd.free_port())
    with pytest.raises(ConnectError, match=r"does not get there: .*Connection refused"):
        ssh.connect(dataclasses.replace(server.endpoint, proxy=nobody), timeout=0.5)


def test_a_wait_for_a_silent_proxy_is_cancelled(server: Sshd) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = dataclasses.replace(
            server.endpoint, proxy=Proxy("127.0.0.1", silent.getsockname()[1])
        )
        with pytest.raises(CancelledError):
            ssh.connect(endpoint, timeout=60, cancelled=stop.is_set)


# known_hosts


def test_known_hosts_as_openssh_writes_them(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".ssh" / "known_hosts"
    file.parent.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert known_hosts("127.0.0.1", server.port) == ""
    accept = ["-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={file}"]
    for hashed in ("yes", "no"):
        file.unlink(missing_ok=True)
        subprocess.run(
            [
                *("ssh", "-F", "none", *accept, "-o", f"HashKnownHosts={hashed}"),
                *("-o", "BatchMode=yes", "-p", str(server.port), "127.0.0.1", "true"),
            ],
            capture_output=True,
            check=False,
        )
        assert ("127.0.0.1" in file.read_text()) == (hashed == "no")
        found = known_hosts("127.0.0.1", server.port)
        assert found.split() == server.endpoint.host_key.split()[:2]
        assert known_hosts("127.0.0.1", 22) == ""
