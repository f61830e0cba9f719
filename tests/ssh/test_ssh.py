from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import keys, ssh
from harness.errors import (
    CancelledError,
    CommandTimeoutError,
    ConfigurationError,
    ConnectError,
    DisconnectedError,
)
from harness.model import Endpoint
from harness.ssh import wait as ssh_wait
from tests import sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.ssh import Connection
    from tests.sshd import Sshd

with_sshd = pytest.mark.sshd
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def connection(server: Sshd) -> Iterator[Connection]:
    connection = ssh.connect(server.endpoint, timeout=20)
    yield connection
    connection.close()


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


def is_gone(pid: str) -> bool:
    """Whether a process has ended; a zombie that nobody fetched has."""
    try:
        with open(f"/proc/{int(pid)}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


# The wait


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
        pytest.raises(ConnectError, match=f"nobody@.*no login after 0 s.*{seen}"),
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


# The login


@with_sshd
def test_another_host_key_is_refused_with_both_fingerprints(server: Sshd) -> None:
    _, other = keys.generate_key()
    wrong = dataclasses.replace(server.endpoint, host_key=other)
    message = "host key different: expected SHA256:.*, got SHA256:"
    with pytest.raises(ConnectError, match=message):
        ssh.connect(wrong, timeout=0.4)


@with_sshd
def test_another_user_key_is_refused(server: Sshd) -> None:
    private, _ = keys.generate_key()
    wrong = dataclasses.replace(server.endpoint, private_key=private)
    with pytest.raises(ConnectError, match=f"key refused for user {server.endpoint.username}"):
        ssh.connect(wrong, timeout=0.4)


@with_sshd
def test_a_key_that_comes_late_lets_us_in(tmp_path: Path) -> None:
    with sshd.running(tmp_path) as server:
        (tmp_path / "authorized_keys").unlink()
        timer = threading.Timer(0.7, server.authorize)
        timer.start()
        ssh.connect(server.endpoint, timeout=20).close()
        timer.join()


@with_sshd
def test_a_server_without_common_algorithms_is_told(tmp_path: Path) -> None:
    with (
        sshd.running(tmp_path, "Ciphers aes128-cbc\nKexAlgorithms diffie-hellman-group1-sha1") as s,
        pytest.raises(ConnectError, match="algorithms not in common"),
    ):
        ssh.connect(s.endpoint, timeout=0.4)


@with_sshd
def test_a_login_can_be_cancelled(server: Sshd) -> None:
    private, _ = keys.generate_key()
    wrong = dataclasses.replace(server.endpoint, private_key=private)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(CancelledError):
        ssh.connect(wrong, timeout=60, cancelled=stop.is_set)


@with_sshd
def test_nothing_is_left_after_close(server: Sshd) -> None:
    threads = set(threading.enumerate())
    connection = ssh.connect(server.endpoint, timeout=20)
    directory = os.path.dirname(connection.execute("readlink /proc/$$/fd/1").stdout)  # noqa: PTH120
    files = _open_files()
    assert os.path.isdir(directory)  # noqa: PTH112
    connection.close()
    connection.close()
    assert set(threading.enumerate()) <= threads
    assert _open_files() < files
    assert eventually(lambda: not os.path.exists(directory))  # noqa: PTH110
    with pytest.raises(DisconnectedError, match="lost before: true"):
        connection.run("true")


@with_sshd
def test_close_ends_what_still_runs(server: Sshd) -> None:
    connection = ssh.connect(server.endpoint, timeout=20)
    pids: list[str] = []

    def run() -> None:
        with contextlib.suppress(DisconnectedError):  # killed first, or hung up first
            connection.run(
                "echo $$; exec sleep 987", on_output=lambda _, b: pids.append(b.decode())
            )

    thread = threading.Thread(target=run)
    thread.start()
    assert eventually(lambda: bool(pids))
    connection.close()
    thread.join(10)
    assert is_gone(pids[0])


@with_sshd
def test_renew_is_a_login_of_its_own(server: Sshd) -> None:
    connection = ssh.connect(server.endpoint, timeout=20)
    with contextlib.closing(connection):
        session = connection.execute("echo $SSH_CONNECTION").stdout
        connection.renew()
        assert connection.execute("echo $SSH_CONNECTION").stdout != session
        assert connection.run("echo $SSH_CONNECTION").stdout != session


# Commands


@with_sshd
def test_run_keeps_streams_and_status_apart(connection: Connection) -> None:
    result = connection.run("echo out; echo err >&2; exit 3")
    assert (result.rc, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert result.command == "echo out; echo err >&2; exit 3"


@with_sshd
@pytest.mark.parametrize("command", ["kill -9 $$", "sh -c 'kill -9 $$'", "kill -15 $$"])
def test_run_reports_a_signal_as_a_shell_does(connection: Connection, command: str) -> None:
    assert connection.run(command).rc == (143 if "-15" in command else 137)


@with_sshd
@pytest.mark.parametrize(
    "command",
    [
        """printf '%s|' 'a b' "c'd" 'é ü' '\\n' '!!' '$x' '*'""",
        "printf %s 'two\nlines'",
        "cat <<X\nhere\nX",
        "printf %s c=$c l=$l n=$n",
        "# nothing but a comment",
        "",
        "printf %s '" + "".join(map(chr, range(1, 128))).replace("'", "") + "'",
    ],
)
def test_run_takes_any_command(connection: Connection, command: str) -> None:
    expected = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    result = connection.run(command)
    assert (result.rc, result.stdout_bytes) == (expected.returncode, expected.stdout)


@with_sshd
@pytest.mark.parametrize("command", ["echo 'abc", "echo )", "if true"])
def test_run_reports_syntax_errors(connection: Connection, command: str) -> None:
    result = connection.run(command)
    assert result.rc == 2
    assert "yntax error" in result.stderr


@with_sshd
def test_run_takes_a_command_longer_than_an_argument_may_be(connection: Connection) -> None:
    text = "x" * 300_000
    result = connection.run(f"cat; printf %s {text}; exit 5", stdin=b"in ")
    assert (result.rc, result.stdout) == (5, f"in {text}")


@with_sshd
def test_run_refuses_a_nul(connection: Connection) -> None:
    with pytest.raises(ValueError, match="NUL"):
        connection.run("echo \0")


@with_sshd
def test_run_streams_what_comes(connection: Connection) -> None:
    seen: list[tuple[str, bytes]] = []
    result = connection.run(
        "echo one; read answer; echo two >&2; read again; echo $answer $again",
        stdin=_answers(seen),
        on_output=lambda name, data: seen.append((name, data)),
    )
    assert seen == [("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"first second\n")]
    assert result.stdout == "one\nfirst second\n"


def _answers(seen: list[tuple[str, bytes]]) -> Iterator[bytes]:
    """Each answer waits for its question, without blocking the reader."""
    for question, answer in ((b"one\n", b"first\n"), (b"two\n", b"second\n")):
        while all(data != question for _, data in seen):
            yield b""
        yield answer


@with_sshd
@pytest.mark.parametrize("redirect", ["", ">&2"])
def test_run_drains_both_streams(connection: Connection, redirect: str) -> None:
    result = connection.run(f"head -c {10 * MIB} /dev/zero {redirect}; echo end", timeout=60)
    data = result.stderr_bytes if redirect else result.stdout_bytes
    assert data[: 10 * MIB] == bytes(10 * MIB)
    assert result.stdout_bytes.endswith(b"end\n")


@with_sshd
def test_run_reads_and_writes_at_once(connection: Connection) -> None:
    data = os.urandom(1024) * (30 * 1024)
    assert connection.run("cat", stdin=data, timeout=60).stdout_bytes == data


@with_sshd
def test_run_does_not_mind_who_reads_no_stdin(connection: Connection) -> None:
    result = connection.run("exec <&-; exit 4", stdin=bytes(20 * MIB), timeout=60)
    assert result.rc == 4


@with_sshd
def test_run_does_not_wait_for_a_daemon_that_keeps_its_output(connection: Connection) -> None:
    result = connection.run("setsid sleep 30 & echo $!; exit 6", timeout=15)
    assert result.rc == 6
    os.kill(int(result.stdout), 9)


@with_sshd
def test_run_kills_everything_at_its_timeout(connection: Connection) -> None:
    command = "setsid sleep 987 & echo $!; sleep 986 & echo $!; echo $$; sleep 985"
    with pytest.raises(CommandTimeoutError, match=r"timeout of 0\.5 s") as caught:
        connection.run(command, timeout=0.5)
    pids = caught.value.result.stdout.split()
    assert len(pids) == 3
    assert all(eventually(lambda pid=pid: is_gone(pid)) for pid in pids)  # type: ignore[misc]
    assert caught.value.result.rc == -1


@with_sshd
@pytest.mark.parametrize("how", ["run", "execute"])
def test_a_command_can_be_cancelled(server: Sshd, tmp_path: Path, how: str) -> None:
    stop = threading.Event()
    connection = ssh.connect(server.endpoint, timeout=20, cancelled=stop.is_set)
    started = tmp_path / "pid"

    def stop_once_started() -> None:
        eventually(lambda: started.exists() and started.read_text().endswith("\n"))
        stop.set()

    thread = threading.Thread(target=stop_once_started)
    thread.start()
    with contextlib.closing(connection), pytest.raises(CancelledError):
        getattr(connection, how)(f"echo $$ >{started}; exec sleep 987", timeout=60)
    thread.join()
    assert eventually(lambda: is_gone(started.read_text()))


@with_sshd
@pytest.mark.parametrize("how", ["run", "execute"])
def test_a_command_is_killed_though_its_pid_has_not_come_yet(
    server: Sshd, tmp_path: Path, how: str
) -> None:
    started = tmp_path / "pid"
    asked = 0

    def cancelled() -> bool:
        """Asked again when the command was sent, and before anything was read of it."""
        nonlocal asked
        asked += armed
        for _ in range(50 if asked > 1 else 0):
            if started.exists() and started.read_text().endswith("\n"):
                return True
            time.sleep(0.01)
        return False

    armed = False
    connection = ssh.connect(server.endpoint, timeout=20, cancelled=cancelled)
    armed = True
    with contextlib.closing(connection), pytest.raises(CancelledError):
        getattr(connection, how)(f"echo $$ >{started}; exec sleep 987", timeout=60)
    assert eventually(lambda: is_gone(started.read_text()))


@with_sshd
def test_an_error_in_on_output_ends_the_command(connection: Connection) -> None:
    pids = []

    def fail(_name: str, data: bytes) -> None:
        pids.append(data.decode())
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        connection.run("echo $$; exec sleep 987", on_output=fail)
    assert eventually(lambda: is_gone(pids[0]))


@with_sshd
@pytest.mark.parametrize("how", ["run", "execute"])
def test_a_lost_connection_is_no_result(tmp_path: Path, how: str) -> None:
    with (
        sshd.running(tmp_path) as server,
        contextlib.closing(ssh.connect(server.endpoint, timeout=20)) as connection,
    ):
        timer = threading.Timer(0.3, server.drop_sessions)
        timer.start()
        with pytest.raises(DisconnectedError, match="lost while: sleep 3"):
            getattr(connection, how)("sleep 3")
        timer.join()
        with pytest.raises(DisconnectedError):
            getattr(connection, how)("true")


@with_sshd
def test_start_up_files_do_not_mix_in(tmp_path: Path) -> None:
    with sshd.running(tmp_path) as server:
        (tmp_path / "home/.bashrc").write_text("echo noise; echo more noise >&2\n")
        connection = ssh.connect(server.endpoint, timeout=20)
        with contextlib.closing(connection):
            result = connection.run("echo out; echo err >&2")
            assert (result.stdout, result.stderr) == ("out\n", "err\n")
            assert connection.execute("echo out").stdout == "out\n"


@with_sshd
def test_more_sessions_than_allowed_are_told(tmp_path: Path) -> None:
    with sshd.running(tmp_path, "MaxSessions 1") as server:
        connection = ssh.connect(server.endpoint, timeout=20)
        with contextlib.closing(connection):
            connection.execute("true")
            with pytest.raises(DisconnectedError, match="MaxSessions"):
                connection.run("true")


@with_sshd
def test_a_stream_comes_bit_by_bit(connection: Connection) -> None:
    size = 0
    with connection.stream(f"head -c {20 * MIB} /dev/zero; echo why >&2; exit 3") as stream:
        while chunk := stream.read():
            size += len(chunk)
        result = stream.finish()
    assert (size, result.rc, result.stderr) == (20 * MIB, 3, "why\n")


@with_sshd
def test_leaving_a_stream_ends_its_command(connection: Connection) -> None:
    with connection.stream("echo $$; exec sleep 987") as stream:
        pid = stream.read().decode()
    assert eventually(lambda: is_gone(pid))


def test_generated_keys_are_openssh_keys(tmp_path: Path) -> None:
    private, public = keys.generate_key()
    file = tmp_path / "key"
    file.write_text(private)
    file.chmod(0o600)
    told = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True)  # noqa: PLW1510
    assert told.stdout.split() == public.split()
    assert keys.generate_key() != (private, public)
