"""The provisioning calls, on a real OpenSSH server and on this computer."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import cloud_init, local_process, progress, reboot, users
from harness.cancel import CancelToken
from harness.errors import (
    CancelledError,
    CommandError,
    CommandTimeoutError,
    ConfigurationError,
    DisconnectedError,
    RebootError,
)
from harness.events import Event, Progress
from harness.local_call import LocalProcesses
from harness.model import Resource
from tests import sshd
from tests.machines import Impatient, Log, machine_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.machine import Machine
    from tests.sshd import Sshd

pytestmark = pytest.mark.sshd

# The script's shell is a child of the one that sshd started.
CUT_THE_CONNECTION = "kill -9 $(cut -d' ' -f4 /proc/$PPID/stat)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def cancel() -> Impatient:
    return Impatient()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def machine(server: Sshd, tmp_path: Path, cancel: Impatient, log: Log) -> Iterator[Machine]:
    with machine_on(server, tmp_path, cancel, log) as machine:
        yield machine


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for a connection to go that stays; nobody's cloud-init."""
    monkeypatch.setattr(reboot, "GOING", 0.2)
    monkeypatch.setattr(cloud_init, "wait", lambda *_: None)


def files_of_ours(mark: object) -> list[Path]:
    """Those with the mark in their text: other tests have theirs there too."""
    found = []
    places = ("/dev/shm", "/run", "/tmp", "/var/tmp")
    for file in (file for place in places for file in Path(place).glob("harness-*")):
        with contextlib.suppress(FileNotFoundError):
            if str(mark) in file.read_text():
                found.append(file)
    return found


# shell


def test_exit_codes_that_count_as_success(machine: Machine, tmp_path: Path) -> None:
    env = {"MARK": str(tmp_path)}
    result = machine.shell("echo so far", "exit 3", "echo never", valid_exit_codes=(0, 3), env=env)
    assert (result.exit_status, result.stdout) == (3, "so far\n")
    with pytest.raises(CommandError, match=r"^exit 4\nexit status 4\n"):
        machine.shell("exit 4", valid_exit_codes=(0, 3), env=env)
    with pytest.raises(CommandError, match=r"^true\nexit status 0"):
        machine.shell("true", valid_exit_codes=(1,), env=env)
    assert files_of_ours(tmp_path) == []


def test_retries_pause_longer_each_time_and_the_last_error_counts(
    machine: Machine, cancel: Impatient, tmp_path: Path, log: Log
) -> None:
    count = f"echo x >>{tmp_path}/tries; n=$(wc -l <{tmp_path}/tries); echo try $n"
    with pytest.raises(CommandError, match=r"try 8$"):
        machine.shell(count, "echo try $n >&2; false", retries=7)
    assert cancel.slept == [1, 2, 4, 8, 16, 30, 30]
    assert "false: exit status 1; again in 30 s" in log.text
    machine.shell(count, "[ $n = 10 ]", retries=3)
    assert cancel.slept[7:] == [1]


def test_what_no_repetition_can_change_is_not_tried_again(
    machine: Machine, cancel: Impatient
) -> None:
    with pytest.raises(ConfigurationError):
        machine.shell("true", env={"1X": ""}, retries=3)
    assert cancel.slept == []


def test_a_retry_logs_in_again(machine: Machine, tmp_path: Path) -> None:
    once = f"[ -e {tmp_path}/cut ] || {{ touch {tmp_path}/cut; {CUT_THE_CONNECTION}; sleep 60; }}"
    assert machine.shell(once, "echo done", retries=1).stdout == "done\n"


@pytest.mark.parametrize("as_file", [False, True])
def test_what_a_cut_attempt_left_goes_when_the_connection_is_back(
    machine: Machine, tmp_path: Path, *, as_file: bool
) -> None:
    commands = f"[ -e {tmp_path}/cut ] && exit; touch {tmp_path}/cut; {CUT_THE_CONNECTION}; sleep 9"
    (tmp_path / "cut.sh").write_text(commands)
    env = {"SECRET": str(tmp_path)}
    if as_file:
        machine.shell(script="cut.sh", env=env, retries=1)
    else:
        machine.shell(commands, env=env, retries=1)
    assert files_of_ours(tmp_path) == []
    (tmp_path / "cut").unlink()
    with pytest.raises(DisconnectedError):
        machine.shell(commands, env={"SECRET": str(tmp_path)})
    assert files_of_ours(tmp_path) != []
    machine.connection.renew()
    machine.run("true")
    assert files_of_ours(tmp_path) == []


def test_a_pause_before_leaves_the_timeout_alone(machine: Machine, cancel: Impatient) -> None:
    with pytest.raises(CommandTimeoutError, match=r"^echo begun\nsleep 60\nkilled: not done"):
        machine.shell("echo begun", "sleep 60", pause_before=5, timeout=0.5)
    assert cancel.slept == [5]


def test_a_lost_connection_is_an_error_that_names_the_command(machine: Machine) -> None:
    with pytest.raises(DisconnectedError, match=r"the connection was lost while: kill -9"):
        machine.shell(f"{CUT_THE_CONNECTION}; sleep 60")


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("as_file", [False, True])
def test_an_expected_disconnection(machine: Machine, tmp_path: Path, *, as_file: bool) -> None:
    commands = f": {tmp_path}; echo begun\n{CUT_THE_CONNECTION}\nsleep 60"
    (tmp_path / "cut.sh").write_text(commands)
    if as_file:
        result = machine.shell(script="cut.sh", expect_disconnect=True)
    else:
        result = machine.shell(commands, expect_disconnect=True)
    assert result.exit_status == -1
    assert machine.run("echo here").stdout == "here\n"
    assert files_of_ours(tmp_path) == []


@pytest.mark.usefixtures("hasty")
def test_where_no_disconnection_came_the_exit_status_counts(machine: Machine) -> None:
    assert machine.shell("echo all the same", expect_disconnect=True).succeeded
    with pytest.raises(CommandError, match=r"^exit 3\n"):
        machine.shell("exit 3", expect_disconnect=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="the machine is this computer: sudo would ask")
@pytest.mark.usefixtures("hasty")
def test_a_machine_that_does_not_reboot(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reboot, "REBOOT", "true")  # else it would be this computer
    boot_id = Path(reboot.BOOT_ID).read_text().strip()
    with pytest.raises(RebootError, match=f"has not rebooted in time: its boot id is {boot_id}"):
        machine.reboot(timeout=0.5)
    monkeypatch.setattr(reboot, "REBOOT", "echo not allowed >&2; exit 1")
    with pytest.raises(CommandError, match="not allowed"):
        machine.reboot(timeout=0.5)
    assert machine.run("true").succeeded


# run, write, put, get


def test_run_sets_the_environment(machine: Machine) -> None:
    result = machine.run('printf "%%s" "$GREETING" %s', "it's", env={"GREETING": "it's $HOME;"})
    assert result.stdout == "it's $HOME;it's"
    assert result.command == 'printf "%s" "$GREETING" \'it\'"\'"\'s\''


def test_run_quotes_what_it_is_given(machine: Machine) -> None:
    assert machine.run("printf '%%s|' 100% %s %s", "it's", 3).stdout == "100%|it's|3|"  # type: ignore[arg-type]  # does no harm
    assert machine.run("date +%s").stdout.strip().isdigit()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.shell(["a", "b"]), r"machine.shell takes commands that are text, .*'a', 'b'"),
        (lambda m: m.shell("true", timeout="5 minutes"), "timeout='5 minutes' is no duration"),
        (lambda m: m.shell("true", timeout=-1), "timeout=-1 is no duration"),
        (lambda m: m.shell("true", pause_before="x"), "pause_before='x' is no duration"),
        (lambda m: m.shell("true", retries="2"), "retries='2': write how often, 0 or more"),
        (lambda m: m.shell("true", retries=-1), "retries=-1: write how often"),
        (lambda m: m.shell("true", valid_exit_codes=3), "valid_exit_codes=3: write numbers"),
        (lambda m: m.local("true", valid_exit_codes=["0"]), "machine.local with valid_exit_codes"),
        (lambda m: m.run("ls %s", "a", "b"), "has 1 times %s for 2 arguments"),
        (lambda m: m.run("ls", "a"), "has 0 times %s for 1 arguments"),
    ],
)
def test_wrong_arguments_are_named(
    machine: Machine, call: Callable[[Machine], object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        call(machine)


def test_a_timeout_may_be_written_out(machine: Machine) -> None:
    with pytest.raises(CommandTimeoutError, match=r"timeout of 0\.5 s"):
        machine.shell("sleep 20", timeout="500ms")


def test_a_command_of_any_length(machine: Machine) -> None:
    assert machine.shell(f"echo {'x' * 300_000} | wc -c").stdout.strip() == "300001"


def test_write(machine: Machine, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    machine.write("grüße\n", str(target), mode=0o600)
    assert target.read_text() == "grüße\n"
    assert target.stat().st_mode & 0o777 == 0o600
    machine.write(b"", str(target))
    assert target.read_bytes() == b""


def test_transfers_have_a_deadline(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    with pytest.raises(CommandTimeoutError, match=r"^put .*file to .*there\nkilled"):
        machine.put("file", f"{tmp_path}/there", timeout=0)
    with pytest.raises(CommandTimeoutError, match=r"^write 4 bytes to .*there\nkilled"):
        machine.write("text", f"{tmp_path}/there", timeout=0)
    with pytest.raises(CommandTimeoutError, match=r"^get .*file to .*back\nkilled"):
        machine.get(f"{tmp_path}/file", "back", timeout=0)
    assert not (tmp_path / "there").exists()
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("sudo", "login", "user"),
    [
        (False, "root", ""),
        (True, "root", ""),
        ("root", "root", ""),
        (True, "admin", "root"),
        ("admin", "admin", ""),
        ("postgres", "root", "postgres"),
        ("", "admin", ""),
    ],
)
def test_whom_sudo_means(*, sudo: bool | str, login: str, user: str) -> None:
    assert users.target(sudo, login) == user


# local


def test_local_runs_in_the_folder_of_the_build(machine: Machine, tmp_path: Path, log: Log) -> None:
    (tmp_path / "sub").mkdir()
    result = machine.local("pwd", 'echo "$NAME" >&2', env={"NAME": "it's me"})
    assert (result.stdout, result.stderr) == (f"{tmp_path}\n", "it's me\n")
    assert machine.local("pwd", cwd="sub").stdout == f"{tmp_path}/sub\n"
    assert "here$ pwd\n" in log.text
    assert "it's me\n" in log.text
    with pytest.raises(ConfigurationError, match=r"cwd=.*/nowhere is no folder"):
        machine.local("pwd", cwd="nowhere")


def test_local_runs_a_script_by_its_first_line(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/usr/bin/env python3\nprint('from python')\n")
    assert machine.local(script="script").stdout == "from python\n"
    with pytest.raises(ConfigurationError, match=r"script .*nothing does not exist"):
        machine.local(script="nothing")


def test_local_says_what_failed(machine: Machine) -> None:
    with pytest.raises(CommandError, match=r"^false\nexit status 1\nstdout:\n  before\n"):
        machine.local("echo before", "false", "echo after")
    assert machine.local("kill -9 $$", valid_exit_codes=[137]).exit_status == 137
    with pytest.raises(ConfigurationError, match="neither is given"):
        machine.local()


def test_local_does_not_wait_for_a_daemon(machine: Machine, tmp_path: Path) -> None:
    result = machine.local(f"sleep 600 & echo $! >{tmp_path}/pid", "echo up")
    assert result.stdout == "up\n"
    os.kill(int((tmp_path / "pid").read_text()), 9)


# One in the command's session, one that has left it.
CHILDREN = (
    "echo $$ >>{0}; sleep 600 & echo $! >>{0}; setsid sh -c 'echo $$ >>{0}; sleep 600' & wait"
)


def stop_by_timeout(machine: Machine, commands: str, _: CancelToken) -> None:
    with pytest.raises(CommandTimeoutError, match=r"^echo .*\nkilled: not done within"):
        machine.local(commands, timeout=0.5)


def stop_by_cancelling(machine: Machine, commands: str, cancel: CancelToken) -> None:
    timer = threading.Timer(0.5, cancel.cancel)
    timer.start()
    with pytest.raises(CancelledError, match="ended echo"):
        machine.local(commands)
    timer.join()


@pytest.mark.parametrize("stop", [stop_by_timeout, stop_by_cancelling])
def test_local_is_stopped_with_all_that_it_started(
    server: Sshd, tmp_path: Path, stop: Callable[[Machine, str, CancelToken], None]
) -> None:
    pids, cancel = tmp_path / "pids", CancelToken()
    with machine_on(server, tmp_path, cancel) as machine:
        stop(machine, CHILDREN.format(pids), cancel)
    found = pids.read_text().split()
    assert len(found) == 3
    assert all(eventually_gone(pid) for pid in found)


def test_local_at_its_deadline_does_not_wait_for_the_deaf(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local_process, "END_SECONDS", 1e9)  # what a stopped run has
    deaf = f"trap '' INT TERM; echo $$ >{tmp_path}/pid; while :; do sleep 0.1; done"
    with pytest.raises(CommandTimeoutError):
        machine.local(deaf, timeout=0.5)
    assert eventually_gone((tmp_path / "pid").read_text())


def test_what_a_killed_run_left_running_is_found(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    local_process.run(
        ["sh", "-c", f"setsid sleep 600 & echo $! >{pid}"],
        cancelled=lambda: False,
        on_output=lambda *_: None,
        mark="its-mark",
    )
    resource = Resource("process", "its-mark", "local", "web.fake")
    assert LocalProcesses.discard(resource)
    assert eventually_gone(pid.read_text())
    assert not LocalProcesses.discard(resource)


def eventually_gone(pid: str) -> bool:
    """Whether a process ends, which takes the kernel a moment; a zombie that nobody fetched has."""
    stat = Path(f"/proc/{int(pid)}/stat")
    deadline = time.monotonic() + 10
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_transfer_tells_how_far_it_is(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
    (tmp_path / "large").write_bytes(bytes(1_000_000))
    told: list[Event] = []
    with machine_on(server, tmp_path, CancelToken()) as machine:
        machine.context.events.subscribe(told.append)
        machine.put("large", f"{tmp_path}/there")
        machine.get(f"{tmp_path}/there", "back")
    far = [event for event in told if isinstance(event, Progress)]
    assert {event.what for event in far} == {
        f"put large to {tmp_path}/there",
        f"get {tmp_path}/there to back",
    }
    assert far[-1].total == 1_000_000
    assert any(event.done > 500_000 for event in far)
