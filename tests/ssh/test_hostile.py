"""Commands and users that a naive runner hangs on, or whose output it mixes up."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from harness import ssh
from harness.errors import CommandTimeoutError, ConnectError
from harness.model import CommandResult
from tests import sshd, wire
from tests.ssh.watching import all_gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.ssh import Connection
    from tests.sshd import Sshd

pytestmark = pytest.mark.sshd

MIB = 1024 * 1024
BINARY = bytes(range(256)) * 64

Check = Callable[[CommandResult], bool]
WAYS = pytest.mark.parametrize("how", ["run", "execute"])
"""On a channel of its own, and in the long-lived shell."""


def answer(status: int, stdout: bytes = b"", stderr: bytes = b"") -> Check:
    def check(result: CommandResult) -> bool:
        assert (result.rc, result.stdout_bytes, result.stderr_bytes) == (status, stdout, stderr)
        return True

    return check


def complaint(status: int) -> Check:
    def check(result: CommandResult) -> bool:
        assert (result.rc, result.stdout_bytes) == (status, b"")
        return b"yntax error" in result.stderr_bytes

    return check


def daemon(result: CommandResult) -> bool:
    os.kill(int(result.stdout), 9)
    return result.rc == 6


HOSTILE: dict[str, tuple[str, Check]] = {
    "10 MiB on stdout": (f"head -c {10 * MIB} /dev/zero", answer(0, bytes(10 * MIB))),
    "10 MiB on stderr": (f"head -c {10 * MIB} /dev/zero >&2", answer(0, b"", bytes(10 * MIB))),
    "10 MiB on both": (
        f"head -c {10 * MIB} /dev/zero & head -c {10 * MIB} /dev/zero >&2; wait",
        answer(0, bytes(10 * MIB), bytes(10 * MIB)),
    ),
    "a daemon that keeps stdout": ("setsid sleep 987 & echo $!; exit 6", daemon),
    "a daemon that keeps printing": (
        "(while :; do echo x >&2; sleep 0.3; done) & echo $!; exit 6",
        daemon,
    ),
    "it reads stdin": ("cat; read line; echo $?", answer(0, b"1\n")),
    "it closes its streams": ("exec <&- >&- 2>&-; exit 4", answer(4)),
    "an unterminated quote": ("echo 'abc", complaint(2)),
    "a stray parenthesis": ("echo )", complaint(2)),
    "an if without its fi": ("if true", complaint(2)),
    "binary output": ("cat {binary}", answer(0, BINARY)),
    "no newline at the end": ("printf out; printf err >&2", answer(0, b"out", b"err")),
    "killed by SIGKILL": ("kill -9 $$", answer(137)),
    "killed by SIGTERM": ("kill -15 $$", answer(143)),
    "its child is killed": ("sh -c 'kill -9 $$'; exit $?", answer(137, b"", b"Killed\n")),
    "it kills its own group": ("trap '' TERM; kill -TERM 0; echo on", answer(0, b"on\n")),
    "nothing at all": ("", answer(0)),
}


@WAYS
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_command_answers_and_reaches_no_other(
    connection: Connection, tmp_path: Path, what: str, how: str
) -> None:
    (tmp_path / "binary").write_bytes(BINARY)
    command, expected = HOSTILE[what]
    run = getattr(connection, how)
    assert expected(run(command.replace("{binary}", f"{tmp_path}/binary"), timeout=60))
    answer(0, b"next\n")(run("echo next"))


@WAYS
def test_a_background_job_prints_into_no_other_command(connection: Connection, how: str) -> None:
    run = getattr(connection, how)
    run("(sleep 0.3; echo late; echo late >&2) & sleep 0.1")
    answer(0, b"next\n")(run("sleep 0.6; echo next"))


ENDLESS = {
    "a command that never ends": "echo $$; exec sleep 987",
    "with children, one in a session of its own": "setsid sleep 987 & echo $!; sleep 986 & echo $!;"
    " echo $$; sleep 985",
    "that is deaf to signals": "trap '' HUP INT TERM; echo $$; while :; do sleep 1; done",
    "that prints without end": "echo $$; while :; do echo and on; done",
}


@WAYS
@pytest.mark.parametrize("what", ENDLESS)
def test_a_deadline_ends_all_that_was_started(connection: Connection, what: str, how: str) -> None:
    run = getattr(connection, how)
    with pytest.raises(CommandTimeoutError, match="not done within its timeout of 1 s") as caught:
        run(ENDLESS[what], timeout=1)
    pids = [line for line in caught.value.result.stdout.splitlines()[:3] if line.isdigit()]
    assert pids
    assert all_gone(pids)
    assert caught.value.result.rc == -1
    answer(0, b"next\n")(run("echo next"))


@WAYS
def test_a_deadline_ends_what_sudo_started(accounts: Sshd, tmp_path: Path, how: str) -> None:
    as_sudoer = dataclasses.replace(accounts.endpoint, username="sudoer")
    with contextlib.closing(ssh.connect(as_sudoer, timeout=20)) as connection:
        with pytest.raises(CommandTimeoutError) as caught:
            getattr(connection, how)("sudo -n sh -c 'id -u; echo $$; exec sleep 987'", timeout=1.5)
        user, pid = caught.value.result.stdout.split()
        assert user == "0"
        assert all_gone([pid])


# Users


@WAYS
@pytest.mark.parametrize("user", ["in-csh", "in-fish", "in-bash"])
def test_any_login_shell_will_do(accounts: Sshd, user: str, how: str) -> None:
    """And what start-up files print is not the command's; bash reads its own even here."""
    noise = "echo noise; echo more noise >&2\n"
    for name in (".bashrc", ".cshrc", ".config/fish/config.fish"):
        file = accounts.directory / "home" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(noise if "csh" not in name else "echo noise\n")
    endpoint = dataclasses.replace(accounts.endpoint, username=user)
    with contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection:
        result = getattr(connection, how)("id -un; printf '%s|' 'a b' \"$((1+1))\" >&2; exit 3")
        answer(3, f"{user}\n".encode(), b"a b|2|")(result)


@WAYS
def test_a_login_shell_that_runs_nothing_is_told(accounts: Sshd, how: str) -> None:
    endpoint = dataclasses.replace(accounts.endpoint, username="in-nothing")
    told = r"(?s)login shell did not run: .*said: This account is currently not available"
    with (
        contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection,
        pytest.raises(ConnectError, match=told),
    ):
        getattr(connection, how)("true")


@WAYS
def test_start_up_files_that_read_what_was_sent(accounts: Sshd, how: str) -> None:
    start_up = accounts.directory / "home" / ".bashrc"
    start_up.write_text("read -t 1 answer\n")
    endpoint = dataclasses.replace(accounts.endpoint, username="in-bash")
    with (
        contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection,
        pytest.raises(ConnectError, match="login shell did not run"),
    ):
        getattr(connection, how)("echo one\necho two")
    start_up.unlink()  # the home is every account's


TERMINAL: dict[str, tuple[str, bytes, Check]] = {
    "sudo that wants a terminal": ("sudo -n id -u", b"", answer(0, b"0\n")),
    "input is not typed": (
        "cat; exit 3",
        b"a\x03\x04\x1a\r\nb" * 999,
        answer(3, b"a\x03\x04\x1a\r\nb" * 999),
    ),
    "no input is none": ("cat; read x; echo $?", b"", answer(0, b"1\n")),
    "both streams are one": ("echo out; echo err >&2", b"", answer(0, b"out\nerr\n")),
    "binary output": ("cat", BINARY, answer(0, BINARY)),
    "a signal": ("kill -15 $$", b"", answer(143)),
}


@pytest.fixture(scope="module")
def terminal(accounts: Sshd) -> Iterator[Connection]:
    endpoint = dataclasses.replace(accounts.endpoint, username="needs-tty", pty=True)
    with contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection:
        yield connection


@pytest.mark.parametrize("what", TERMINAL)
def test_a_command_on_a_terminal(terminal: Connection, what: str) -> None:
    command, stdin, expected = TERMINAL[what]
    expected(terminal.run(command, stdin=stdin, timeout=20))


def test_a_command_on_a_terminal_is_killed(terminal: Connection) -> None:
    with pytest.raises(CommandTimeoutError) as caught:
        terminal.run("setsid sleep 987 & echo $!; echo $$; exec sleep 986", timeout=1)
    assert all_gone(caught.value.result.stdout.split())


def test_without_a_terminal_sudo_wants_one(accounts: Sshd) -> None:
    endpoint = dataclasses.replace(accounts.endpoint, username="needs-tty")
    with contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection:
        assert "you must have a tty" in connection.run("sudo -n id -u").stderr


# Servers


@pytest.mark.parametrize("limit", [1, 2])
def test_a_server_with_few_sessions(tmp_path: Path, limit: int) -> None:
    """The long-lived shell, two commands and the kill of one of them, all at once."""
    with (
        sshd.running(tmp_path, f"MaxSessions {limit}") as server,
        contextlib.closing(ssh.connect(server.endpoint, timeout=20)) as connection,
    ):
        connection.execute("true")
        pids: list[str] = []
        thread = threading.Thread(
            target=lambda: pids.append(connection.run("echo $$; sleep 1").stdout.strip())
        )
        thread.start()
        with pytest.raises(CommandTimeoutError) as caught:
            connection.run("echo $$; exec sleep 987", timeout=0.5)
        assert all_gone(caught.value.result.stdout.split())
        thread.join(10)
        assert len(pids) == 1
        answer(0, b"next\n")(connection.execute("echo next"))


@WAYS
def test_a_server_with_a_banner(tmp_path: Path, how: str) -> None:
    """It comes before the login, in whatever size, and is nobody's output."""
    (tmp_path / "banner").write_text("Authorized use only! \x1b[31m$(reboot)\n" * 500)
    with (
        sshd.running(tmp_path, f"Banner {tmp_path}/banner") as server,
        contextlib.closing(ssh.connect(server.endpoint, timeout=20)) as connection,
    ):
        for _ in range(2):
            answer(3, b"out\n", b"err\n")(
                getattr(connection, how)("echo out; echo err >&2; exit 3", timeout=20)
            )
            connection.renew()


@WAYS
def test_a_slow_line(server: Sshd, tmp_path: Path, how: str) -> None:
    with wire.to(server.port, delay=0.1) as slow:
        endpoint = dataclasses.replace(server.endpoint, port=slow.port)
        with contextlib.closing(ssh.connect(endpoint, timeout=30)) as connection:
            run = getattr(connection, how)
            answer(3, b"out\n", b"err\n")(run("echo out; echo err >&2; exit 3"))
            answer(0, bytes(MIB))(run(f"head -c {MIB} /dev/zero", timeout=60))
            with pytest.raises(CommandTimeoutError) as caught:
                run("echo $$; exec sleep 987", timeout=1)
            assert all_gone(caught.value.result.stdout.split())
