"""Secrets on a machine and on this computer: in no process list, and in no file that stays."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import assertions
from harness.cancel import CancelToken
from harness.errors import CommandError, CommandTimeoutError, ConfigurationError
from harness.machine import Machine
from harness.provisioners import File, Shell
from harness.secret import Secret
from tests import sshd
from tests.machines import Log, machine_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.sshd

START = secrets.token_hex(4)
"""Of this process's own secret: others run these tests at the same time."""
TEXT = f"{START}-s3cr3t-of-'this'-test"
TOKEN = Secret(TEXT)
LONG = f": {'x' * 40_000}"
"""Long enough to be put into a file on the machine first."""
PLACES = ("/dev/shm", "/run", "/tmp", "/var/tmp")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def machine(server: sshd.Sshd, tmp_path: Path, log: Log) -> Iterator[Machine]:
    with machine_on(server, tmp_path, CancelToken(), log) as machine:
        yield machine


def command_lines() -> bytes:
    """Of all processes, as anybody may read them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return b"\n".join(found)


def files_with_it(home: Path) -> list[Path]:
    """Files of ours that hold the secret."""
    found = []
    for path in (p for place in (*PLACES, home) for p in Path(place).glob("*harness*")):
        files = [*path.rglob("*"), path]
        for file in (f for f in files if f.is_file()):
            with contextlib.suppress(OSError):
                found += [file] if START.encode() in file.read_bytes() else []
    return found


def of_a_test(machine: Machine, wait: str) -> object:
    """A test's command, which is no program's argument."""
    host = assertions.host(machine.connection, "web.fake")
    answer = host.run(f"printf %%s %s; {wait}", TOKEN)
    assert answer.stdout == TEXT
    return answer


CALLS: dict[str, Callable[[Machine, str], object]] = {
    "shell": lambda m, wait: m.shell(wait, env={"TOKEN": TOKEN}),
    "a long shell": lambda m, wait: m.shell(LONG, wait, env={"TOKEN": TOKEN}),
    "run": lambda m, wait: m.run(wait, env={"TOKEN": TOKEN}),
    "a long run": lambda m, wait: m.run(f"{LONG}; {wait}", env={"TOKEN": TOKEN}),
    "a builtin's argument": lambda m, wait: m.run(f"printf %s >/dev/null; {wait}", TOKEN),
    "a test's": of_a_test,
    "local": lambda m, wait: m.local(wait, env={"TOKEN": TOKEN}),
    "a provisioner": lambda m, wait: m.provision(
        Shell(inline=[wait], environment_vars={"TOKEN": TOKEN})
    ),
    "Packer's way": lambda m, wait: m.provision(
        Shell(
            inline=[wait], environment_vars={"TOKEN": TOKEN}, execute_command="{{.Vars}} {{.Path}}"
        )
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_process_list_has_it_and_no_file_keeps_it(
    machine: Machine, server: sshd.Sshd, tmp_path: Path, call: str
) -> None:
    wait = f"touch {tmp_path}/up; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    thread = threading.Thread(target=CALLS[call], args=(machine, wait))
    thread.start()
    while not (tmp_path / "up").exists():
        assert thread.is_alive()
        time.sleep(0.01)
    seen = command_lines()
    (tmp_path / "go").touch()
    thread.join()
    assert str(tmp_path).encode() in seen or b"sshd" in seen
    assert START.encode() not in seen
    assert files_with_it(server.directory / "home") == []


# No folder on a disk can be written to; of those in memory one can, and runs no programs.
_DISKLESS = """
mount --bind /tmp /tmp && mount --bind /var/tmp /var/tmp && mount --bind {0} {0} &&
mount --bind {0}/home {0}/home && mount -t tmpfs -o noexec tmpfs /dev/shm &&
mount -t tmpfs tmpfs /run && mkdir /run/sshd && chmod 755 /run /run/sshd || exit
for at in /tmp /var/tmp {0}/home; do mount -o remount,bind,ro $at || exit; done
exec "$@"
"""


@pytest.fixture(scope="module")
def diskless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    unshare = ("unshare", "--mount")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root's right to mount")
    directory = tmp_path_factory.mktemp("diskless")
    wrapper = (*unshare, "sh", "-c", _DISKLESS.format(directory), "sshd")
    with sshd.running(directory, wrapper=wrapper) as server:
        yield server


LEFT = "ls /dev/shm/harness-* /run/harness-* 2>/dev/null"
ON_MACHINES: dict[str, Callable[[Machine, str], object]] = {
    **{name: call for name, call in CALLS.items() if name != "local"},
    "a file in memory": lambda m, _: m.write(TOKEN, "/run/token"),
}


@pytest.mark.parametrize("pty", [False, True], ids=["no terminal", "on a terminal"])
@pytest.mark.parametrize("call", ON_MACHINES)
def test_no_disk_ever_has_it(
    diskless: sshd.Sshd, tmp_path: Path, log: Log, call: str, *, pty: bool
) -> None:
    with machine_on(diskless, tmp_path, CancelToken(), log, pty=pty) as machine:
        for place in ("/tmp", "/var/tmp", '"$HOME"'):
            assert machine.run(f"touch {place}/x").failed, "no disk can be written to"
        ON_MACHINES[call](machine, "true")
        assert machine.run(LEFT).stdout == ""
        with pytest.raises(CommandError, match=r"^exit 3\nexit status 3"):
            machine.shell(":", "exit 3", env={"TOKEN": TOKEN})
        assert machine.run(LEFT).stdout == ""


@pytest.mark.parametrize("call", [Machine.shell, Machine.run])
@pytest.mark.parametrize("command", ["sleep 987", f"{LONG}; sleep 987"], ids=["short", "long"])
def test_a_deadline_leaves_no_file_with_it(
    machine: Machine, server: sshd.Sshd, call: Callable[..., object], command: str
) -> None:
    with pytest.raises(CommandTimeoutError):
        call(machine, command, env={"TOKEN": TOKEN}, timeout=1)
    assert files_with_it(server.directory / "home") == []


def test_what_calls_print_is_masked_and_what_they_return_is_not(machine: Machine, log: Log) -> None:
    assert machine.shell('echo "<$TOKEN>"', env={"TOKEN": TOKEN}).stdout == f"<{TEXT}>\n"
    assert machine.run('printf "%%s\\n" %s', TOKEN).stdout == f"{TEXT}\n"
    machine.local('printf %s "$TOKEN" | base64', env={"TOKEN": TOKEN})
    assert log.text.splitlines() == [
        '$ echo "<$TOKEN>"',
        "<***>",
        "$ printf \"%s\\n\" '***'",
        "***",
        'here$ printf %s "$TOKEN" | base64',
        "***",
    ]


def test_a_secret_in_two_pieces_is_masked(machine: Machine, log: Log) -> None:
    machine.hide(TOKEN)
    machine.shell(f"printf '%s' {TEXT[:9]}; sleep 0.3; printf '%s\\n' {TEXT[9:]!r}")
    assert "s3cr3t" not in log.text.splitlines()[-1]


def test_errors_and_titles_are_masked(machine: Machine, log: Log) -> None:
    machine.hide("hidden-by-hand")
    with pytest.raises(CommandError) as caught:
        machine.shell('echo "$TOKEN hidden-by-hand" >&2; exit 3', env={"TOKEN": TOKEN})
    assert str(caught.value).startswith('echo "$TOKEN ***" >&2; exit 3\nexit status 3\n')
    assert str(caught.value).endswith("stderr:\n  *** ***")
    assert "hidden-by-hand" not in log.text
    with pytest.raises(ConfigurationError, match="takes a text"):
        machine.hide(None)  # type: ignore[arg-type]  # that is the point


def test_files_may_be_secrets(machine: Machine, log: Log, tmp_path: Path) -> None:
    machine.write(TOKEN, f"{tmp_path}/written", mode=0o600)
    machine.provision(File(content=Secret("another-s3cr3t"), destination=f"{tmp_path}/provisioned"))
    assert (tmp_path / "written").read_text() == TEXT
    machine.shell(f"cat {tmp_path}/written {tmp_path}/provisioned")
    assert log.text.splitlines()[-1] == "******"


def test_environment_vars_in_a_list_are_texts() -> None:
    with pytest.raises(ConfigurationError, match=r"has \*\*\*: write NAME=value, or a mapping"):
        Shell(inline=["true"], environment_vars=[Secret("NAME=value")])  # type: ignore[list-item]
