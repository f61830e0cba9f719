from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import ssh
from harness.errors import (
    CancelledError,
    DisconnectedError,
)
from tests.ssh.watching import eventually, is_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.ssh import Connection
    from tests.sshd import Sshd

pytestmark = pytest.mark.sshd
MIB = 1024 * 1024


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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


def test_renew_is_a_login_of_its_own(server: Sshd) -> None:
    connection = ssh.connect(server.endpoint, timeout=20)
    with contextlib.closing(connection):
        session = connection.execute("echo $SSH_CONNECTION").stdout
        connection.renew()
        assert connection.execute("echo $SSH_CONNECTION").stdout != session
        assert connection.run("echo $SSH_CONNECTION").stdout != session


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


def test_run_takes_a_command_longer_than_an_argument_may_be(connection: Connection) -> None:
    text = "x" * 300_000
    result = connection.run(f"cat; printf %s {text}; exit 5", stdin=b"in ")
    assert (result.rc, result.stdout) == (5, f"in {text}")


def test_run_refuses_a_nul(connection: Connection) -> None:
    with pytest.raises(ValueError, match="NUL"):
        connection.run("echo \0")


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


def test_run_reads_and_writes_at_once(connection: Connection) -> None:
    data = os.urandom(1024) * (30 * 1024)
    assert connection.run("cat", stdin=data, timeout=60).stdout_bytes == data


def test_run_does_not_mind_who_reads_no_stdin(connection: Connection) -> None:
    result = connection.run("exec <&-; exit 4", stdin=bytes(20 * MIB), timeout=60)
    assert result.rc == 4


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


def test_an_error_in_on_output_ends_the_command(connection: Connection) -> None:
    pids = []

    def fail(_name: str, data: bytes) -> None:
        pids.append(data.decode())
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        connection.run("echo $$; exec sleep 987", on_output=fail)
    assert eventually(lambda: is_gone(pids[0]))


def test_a_stream_comes_bit_by_bit(connection: Connection) -> None:
    size = 0
    with connection.stream(f"head -c {20 * MIB} /dev/zero; echo why >&2; exit 3") as stream:
        while chunk := stream.read():
            size += len(chunk)
        result = stream.finish()
    assert (size, result.rc, result.stderr) == (20 * MIB, 3, "why\n")


def test_leaving_a_stream_ends_its_command(connection: Connection) -> None:
    with connection.stream("echo $$; exec sleep 987") as stream:
        pid = stream.read().decode()
    assert eventually(lambda: is_gone(pid))
