from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import remote_kill, remote_shell, ssh
from harness.errors import CancelledError, CommandTimeoutError, DisconnectedError
from harness.remote_shell import RemoteShell
from tests import sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.ssh import Connection

MIB = 1024 * 1024
SHELLS = [
    pytest.param(
        shell, marks=pytest.mark.skipif(shutil.which(shell[0]) is None, reason="not installed")
    )
    for shell in (("dash",), ("bash", "--posix"), ("busybox", "sh"))
]


class LocalChannel:
    """A local shell in the place of a remote one."""

    def __init__(self, shell: tuple[str, ...], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [shutil.which(shell[0]) or "", *shell[1:], "-c", RemoteShell.script()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environment,
        )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def write(self, data: bytes) -> None:
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def read(self, check: Callable[[], None]) -> bytes:
        assert self.process.stdout
        while True:
            check()
            if select.select([self.process.stdout], [], [], 0.05)[0]:
                return os.read(self.process.stdout.fileno(), 65536)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()

    def kill(self) -> None:
        script = remote_kill.kill_script(self.process.pid, spare=True)
        subprocess.run(["/bin/sh", "-c", script], check=False)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RemoteShell]:
    environment = dict(os.environ)
    if "busybox" in request.param:  # and nothing but busybox
        subprocess.run(["busybox", "--install", "-s", str(tmp_path)], check=True)
        environment["PATH"] = str(tmp_path)
    channel = LocalChannel(request.param, environment)
    shell = RemoteShell(channel, channel.kill)
    yield shell
    shell.close()
    assert not os.path.exists(shell.directory)  # noqa: PTH110


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        connection = ssh.connect(server.endpoint, timeout=20)
        yield connection
        connection.close()


def run(shell: RemoteShell, command: str, timeout: float = 20) -> tuple[int, bytes, bytes]:
    result = shell.execute(command, timeout, lambda: False)
    assert result.command == command
    return result.rc, result.stdout_bytes, result.stderr_bytes


# The protocol, on each shell


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("true", (0, b"", b"")),
        ("echo out; echo err >&2; exit 3", (3, b"out\n", b"err\n")),
        ("printf out", (0, b"out", b"")),
        ("printf err >&2", (0, b"", b"err")),
        ("cat", (0, b"", b"")),
        ("read x", (1, b"", b"")),
        ("kill -9 $$", (137, b"", b"")),
        ("kill -15 $$", (143, b"", b"")),
        ("printf '\\000\\001\\377\\n\\000'", (0, b"\x00\x01\xff\n\x00", b"")),
        ("echo one\necho \"two  'three'\"\n", (0, b"one\ntwo  'three'\n", b"")),
        ("printf %s 'é €\\'", (0, "é €\\".encode(), b"")),
        ("cat <<E\nhere $((1 + 1))\nE", (0, b"here 2\n", b"")),
        ("exec 1>&-", (0, b"", b"")),
        ("", (0, b"", b"")),
        ("echo $text$line$newline$count$out$err$end$status", (0, b"\n", b"")),
        ("sh -c 'kill -INT $$'; echo $?", (0, b"130\n", b"")),
        # Queries
        ("echo a  'b  c'", (0, b"a b  c\n", b"")),
        ("exit 3", (3, b"", b"")),
        ("test -e /no/such", (1, b"", b"")),
        ("printf 'a\\000b\\377\\r\\n\\n'", (0, b"a\x00b\xff\r\n\n", b"")),
        ("printf '\\000'", (0, b"\x00", b"")),
        ("printf '\\303\\251'", (0, "é".encode(), b"")),
        ("printf '\\n\\n'", (0, b"\n\n", b"")),
        ("printf '  a\\tb  '", (0, b"  a\tb  ", b"")),
        ("printf %2000s x", (0, b"x".rjust(2000), b"")),
        ("echo a b | cut -d' ' -f2", (0, b"b\n", b"")),
        # What was printed is not all of the file, or not its length
        ("echo out; echo more >>/dev/stdout", (0, b"out\nmore\n", b"")),
        ("printf abc; printf d | cat >/dev/stdout", (0, b"d", b"")),
    ],
)
def test_a_command_answers(
    shell: RemoteShell, command: str, expected: tuple[int, bytes, bytes]
) -> None:
    assert run(shell, command) == expected
    assert run(shell, "echo next") == (0, b"next\n", b"")


@pytest.mark.parametrize("command", ["echo 'abc", "echo )", "if", "`", "${"])
def test_a_syntax_error_stays_in_its_command(shell: RemoteShell, command: str) -> None:
    status, _, err = run(shell, command)
    assert status == 2 or "{" in command
    assert err
    assert run(shell, "echo next") == (0, b"next\n", b"")


def test_a_command_changes_nothing_for_the_next(shell: RemoteShell) -> None:
    run(shell, "cd /; umask 000; set -e; export X=1; trap 'echo trapped' EXIT; exit 7")
    here = str(Path.cwd()).encode()
    assert run(shell, "echo $X; pwd; false; echo on") == (0, b"\n" + here + b"\non\n", b"")


@pytest.mark.parametrize("redirect", ["", ">&2"])
def test_large_output_comes_whole(shell: RemoteShell, redirect: str) -> None:
    _, out, err = run(shell, f"head -c {10 * MIB} /dev/zero {redirect}", 60)
    assert (err if redirect else out) == bytes(10 * MIB)
    assert run(shell, "echo next") == (0, b"next\n", b"")


def test_a_late_line_of_a_background_job_reaches_no_other_command(shell: RemoteShell) -> None:
    run(shell, "(sleep 0.2; echo late; echo late >&2) &")
    assert run(shell, "sleep 0.4; echo next") == (0, b"next\n", b"")


def test_a_daemon_that_keeps_stdout_holds_up_nothing(shell: RemoteShell) -> None:
    status, out, _ = run(shell, "sleep 987 & echo $!", 10)
    os.kill(int(out), 9)
    assert status == 0


def test_a_command_has_a_session_of_its_own(shell: RemoteShell) -> None:
    _, out, _ = run(shell, "read -r line </proc/$$/stat; set -- ${line##*) }; echo $$ $4")
    pid, session = out.split()
    assert pid == session


def test_a_timeout_kills_the_command_and_not_the_shell(shell: RemoteShell) -> None:
    run(shell, "true")
    before = shell.directory
    with pytest.raises(CommandTimeoutError) as caught:
        run(shell, "echo out; echo err >&2; sleep 986 & echo $!; sleep 987", 0.4)
    result = caught.value.result
    assert (result.rc, result.stderr) == (-1, "err\n")
    out, pid = result.stdout.split()
    assert out == "out"
    with pytest.raises(ProcessLookupError):
        _wait_for_end(int(pid))
    assert run(shell, "echo next") == (0, b"next\n", b"")
    assert shell.directory == before


def test_a_timeout_kills_a_query_and_nothing_that_ran_before(
    shell: RemoteShell, tmp_path: Path
) -> None:
    _, before, _ = run(shell, "sleep 985 & echo $!")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CommandTimeoutError):
        run(shell, f"cat {tmp_path}/fifo", 0.4)
    assert run(shell, "echo next") == (0, b"next\n", b"")
    os.kill(int(before), 9)
    with pytest.raises(OSError, match="No such device"):  # nobody reads it any more
        os.open(tmp_path / "fifo", os.O_WRONLY | os.O_NONBLOCK)


def test_a_query_that_is_not_there(shell: RemoteShell) -> None:
    assert run(shell, "/sbin/dpkg-query -W")[0] == 127
    assert run(shell, "echo next") == (0, b"next\n", b"")


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        os.kill(pid, 0)
        if ") Z " in Path(f"/proc/{pid}/stat").read_text():
            raise ProcessLookupError
        time.sleep(0.01)


def test_a_cancelled_command_is_killed(shell: RemoteShell) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(CancelledError, match="killed sleep 987"):
        shell.execute("sleep 987", 60, stop.is_set)
    assert run(shell, "echo next") == (0, b"next\n", b"")


def test_the_end_of_the_shell_is_told(shell: RemoteShell) -> None:
    run(shell, "true")
    with pytest.raises(DisconnectedError, match="lost while: kill"):
        run(shell, "kill -9 $PPID; sleep 5")
    shutil.rmtree(shell.directory)


def test_files_do_not_pile_up(shell: RemoteShell) -> None:
    for _ in range(70):
        run(shell, "echo x")
    assert len(list(Path(shell.directory).iterdir())) < 20


def test_half_a_request_runs_nothing(tmp_path: Path) -> None:
    token = "0123456789abcdef"
    flag = tmp_path / "flag"
    whole = remote_shell.request(token, f"touch {flag}\ntrue")
    for data, ran in ((whole[: whole.index(b"\ntrue")], False), (whole, True)):
        subprocess.run(remote_shell.opening(token), shell=True, input=data, check=False)
        assert flag.exists() == ran


@pytest.mark.parametrize("login", ["bash", "zsh", "fish", "tcsh", "csh", "busybox sh"])
def test_the_opening_line_suits_any_login_shell(login: str) -> None:
    if shutil.which(login.split(maxsplit=1)[0]) is None:
        pytest.skip(f"{login} is not installed")
    token = "0123456789abcdef"
    command = [*login.split(), "-c", remote_shell.opening(token)]
    data = remote_shell.request(token, """printf %s 'a\\b!c"d'""") + b"rest"
    told = subprocess.run(command, input=data, capture_output=True, check=True)
    assert told.stdout.endswith(b"""\na\\b!c"d""")
    assert told.stderr == f"{token}\n".encode()


# Through SSH


@pytest.mark.sshd
def test_one_shell_serves_many_commands(connection: Connection) -> None:
    shells = {connection.execute("echo $PPID").stdout for _ in range(3)}
    assert len(shells) == 1


@pytest.mark.sshd
def test_a_killed_shell_is_replaced_for_the_next_command(connection: Connection) -> None:
    files = connection.execute("readlink /proc/$$/fd/1").stdout
    with pytest.raises(DisconnectedError):
        connection.execute("kill -9 $PPID; sleep 5")
    assert connection.execute("echo next").stdout == "next\n"
    assert not os.path.exists(os.path.dirname(files))  # noqa: PTH110, PTH120


@pytest.mark.sshd
def test_a_shell_without_its_directory_is_replaced(connection: Connection) -> None:
    connection.execute("rm -rf $(dirname $(readlink /proc/$$/fd/1))")
    assert connection.execute("echo next").stdout == "next\n"


@pytest.mark.sshd
def test_a_command_longer_than_an_argument_may_be(connection: Connection) -> None:
    text = "x" * 300_000
    result = connection.execute(f"printf %s {text}; exit 5")
    assert (result.rc, result.stdout) == (5, text)
    assert len(result.command) > 300_000


@pytest.mark.sshd
def test_threads_take_turns(connection: Connection) -> None:
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        for _ in range(10):
            answers[number] = connection.execute(f"echo {number}").stdout

    threads = [threading.Thread(target=ask, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: f"{n}\n" for n in range(4)}


@pytest.mark.sshd
def test_a_timeout_over_ssh(connection: Connection) -> None:
    connection.execute("true")
    with pytest.raises(CommandTimeoutError, match=r"(?s)killed.*before"):
        connection.execute("echo before; sleep 987", timeout=0.3)
    assert connection.execute("echo next").stdout == "next\n"
