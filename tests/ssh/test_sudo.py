"""The calls of a machine as another user, and what sudo may have against it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import assertions, users
from harness.errors import CommandError, CommandTimeoutError, TransferError
from harness.testing import FakeInstance, FakeSource
from tests.machines import Impatient, machine_on
from tests.ssh.watching import all_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.machine import Machine
    from harness.sources.base import Context
    from tests.sshd import Sshd

    Call = Callable[[Machine], object]

pytestmark = pytest.mark.sshd

MIB = 1024 * 1024
CALLS: dict[str, Call] = {
    "shell": lambda m: m.shell("true", sudo=True),
    "run": lambda m: m.run("true", sudo=True),
    "write": lambda m: m.write("x", "/tmp/never", sudo=True),
    "get": lambda m: m.get("/etc/shadow", "shadow", sudo=True),
}


@contextlib.contextmanager
def machine_of(accounts: Sshd, user: str, folder: Path, *, pty: bool = False) -> Iterator[Machine]:
    with machine_on(accounts, folder, Impatient(), username=user, pty=pty) as machine:
        yield machine


@pytest.fixture
def on_terminal(accounts: Sshd, open_path: Path) -> Iterator[Machine]:
    """As a user whose sudo wants a terminal, which there is."""
    open_path.chmod(0o777)
    with machine_of(accounts, "needs-tty", open_path, pty=True) as machine:
        yield machine


def test_scripts_as_root_on_a_terminal(on_terminal: Machine, open_path: Path) -> None:
    (open_path / "who.sh").write_text('echo "$(id -un) $WORD"; tty >/dev/null || echo no stdin\n')
    result = on_terminal.shell(script="who.sh", sudo=True, env={"WORD": "it's"})
    assert result.stdout == "root it's\nno stdin\n"
    assert on_terminal.shell("id -un", sudo=True).stdout == "root\n"


def test_copies_as_root_on_a_terminal(on_terminal: Machine, open_path: Path) -> None:
    content = os.urandom(3 * MIB) + b"\x03\x04\r\n"
    (open_path / "site").mkdir()
    (open_path / "site" / "large").write_bytes(content)
    on_terminal.put("site/large", f"{open_path}/one", sudo=True)
    on_terminal.put("site", f"{open_path}/copy", sudo=True)
    on_terminal.write(content, f"{open_path}/two", sudo=True, mode=0o600)
    on_terminal.get(f"{open_path}/two", f"{open_path}/three", sudo=True)
    on_terminal.get(f"{open_path}/copy/site/", f"{open_path}/back", sudo=True)
    for copy in ("one", "copy/site/large", "two", "three", "back/large"):
        assert (open_path / copy).read_bytes() == content
    assert (open_path / "two").stat().st_uid == 0
    with pytest.raises(TransferError, match=r"exit status 1: /no/such: no such file"):
        on_terminal.get("/no/such", f"{open_path}/four", sudo=True)
    assert left_over(content) == []


def left_over(content: bytes) -> list[Path]:
    """Files of ours on the machine with that content; others run tests at the same time."""
    size, found = len(content), []
    for at in ("/dev/shm", "/run", "/tmp", "/var/tmp"):
        for file in Path(at).glob("harness.*"):
            with contextlib.suppress(OSError):
                if file.stat().st_size == size and file.read_bytes() == content:
                    found.append(file)
    return found


@pytest.mark.parametrize("how", ["run", "execute"])
def test_a_deadline_ends_what_root_started_on_a_terminal(
    on_terminal: Machine, open_path: Path, how: str
) -> None:
    command = f"sudo -n sh -c 'id -u; echo $$ >{open_path}/pid; trap \"\" HUP; sleep 987; true'"
    with pytest.raises(CommandTimeoutError):
        getattr(on_terminal.connection, how)(command, timeout=3)
    assert all_gone([(open_path / "pid").read_text()])


def test_tests_as_root_on_a_terminal(on_terminal: Machine) -> None:
    host = assertions.host(on_terminal.connection, "web.fake", "root")
    result = host.run("printf 'a\\r\\n'; id -un >&2; exit 3")
    assert (result.rc, result.stdout, result.stderr) == (3, "a\r\n", "root\n")
    assert host.user().name == "root"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("needs-tty", r"sudo=True: sudo wants a terminal .*requiretty.*ssh_pty=True"),
        ("needs-password", r"sudo=True: sudo wants a password for 'needs-password' on the mach"),
    ],
)
def test_why_sudo_refused_is_said(
    accounts: Sshd, open_path: Path, call: str, user: str, reason: str
) -> None:
    with (
        machine_of(accounts, user, open_path) as machine,
        pytest.raises(CommandError, match=reason),
    ):
        CALLS[call](machine)


def test_a_user_that_does_not_exist_is_named(accounts: Sshd, open_path: Path) -> None:
    told = r"^sudo='nosuch': there is no such user on the machine\nnot run: true\nexit status 1"
    for pty in (False, True):
        with (
            machine_of(accounts, "sudoer", open_path, pty=pty) as machine,
            pytest.raises(CommandError, match=told),
        ):
            machine.shell("true", sudo="nosuch")


def test_what_a_command_answers_is_no_refusal(accounts: Sshd, open_path: Path) -> None:
    with machine_of(accounts, "sudoer", open_path) as machine:
        told = "echo begun; echo 'sudo: a password is required' >&2; exit 1"
        assert machine.run(told, sudo=True).exit_status == 1


def test_a_folder_that_does_not_exist_is_named(accounts: Sshd, open_path: Path) -> None:
    open_path.chmod(0o755)
    (open_path / "closed").mkdir(mode=0o700)
    with machine_of(accounts, "sudoer", open_path) as machine:
        with pytest.raises(CommandError, match=r"cwd='/no/such dir' does not exist on the machine"):
            machine.shell("true", "id", cwd="/no/such dir")
        with pytest.raises(CommandError, match=r"cwd='.*closed' is no folder that may be entered"):
            machine.shell("true", cwd=f"{open_path}/closed")
        assert machine.shell("pwd", cwd="/usr").stdout == "/usr\n"


@pytest.mark.parametrize(
    "said", ["/bin/sh: 1: exec: sudo: not found", "bash: line 1: sudo: command not found"]
)
def test_a_machine_without_sudo(context: Context, said: str) -> None:
    machine = FakeSource(answers={"sudo": (127, "", f"{said}\n")})
    login = machine.connect(FakeInstance("fake"), context)
    with pytest.raises(CommandError, match="sudo='web': there is no sudo on the machine: log in"):
        users.commands(login, "web", "admin").run("true")
