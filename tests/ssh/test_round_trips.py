"""What calls cost on a line so slow that little else counts."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING

import pytest

from harness import assertions, ssh
from harness.cancel import CancelToken
from tests import wire
from tests.machines import machine_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.machine import Machine
    from tests.sshd import Sshd

pytestmark = pytest.mark.sshd

DELAY = 0.15
TIMES = 9
IN_A_ROW = 3

CALLS: dict[str, Callable[[Machine, str], object]] = {
    "shell": lambda m, _: m.shell("echo x"),
    "run": lambda m, _: m.run("echo out; echo err >&2"),
    "put a file": lambda m, at: m.put(f"{at}/site/page", f"{at}/page"),
    "put a folder": lambda m, at: m.put(f"{at}/site", f"{at}/copy"),
    "write": lambda m, at: m.write("x", f"{at}/written"),
    "get": lambda m, at: m.get(f"{at}/site", f"{at}/got"),
    "a test's command": lambda m, _: m.connection.execute("echo out; echo err >&2"),
}


@pytest.fixture(scope="module")
def machine(server: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with (
        wire.to(server.port, DELAY) as slow,
        machine_on(
            server, tmp_path_factory.mktemp("machine"), CancelToken(), port=slow.port
        ) as machine,
    ):
        yield machine


def round_trips(call: Callable[[], object]) -> float:
    """What a call costs among several in a row, in the row that was disturbed least."""
    times = [time.monotonic()]
    for _ in range(TIMES):
        call()
        times.append(time.monotonic())
    rows = zip(times, times[IN_A_ROW:], strict=False)
    return min(end - begin for begin, end in rows) / IN_A_ROW / (2 * DELAY)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_costs_one_round_trip(machine: Machine, tmp_path: Path, call: str) -> None:
    """It is nearer to one than to two."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page").write_text("hello")
    assert round_trips(lambda: CALLS[call](machine, str(tmp_path))) < 1.5


def test_a_property_costs_one_round_trip(machine: Machine) -> None:
    host = assertions.host(machine.connection, "web.fake")
    assert round_trips(lambda: host.file("/").mode) < 1.5


def test_what_is_begun_ahead_reads_start_up_files_when_it_is_used(accounts: Sshd) -> None:
    endpoint = dataclasses.replace(accounts.endpoint, username="in-bash")
    start_up = accounts.directory / "home" / ".bashrc"
    with contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection:
        for value in ("one", "two", "three", "four"):
            start_up.write_text(f"export HARNESS_TEST={value}\n")
            assert connection.run('echo "$HARNESS_TEST"').stdout == f"{value}\n"
    start_up.unlink()  # the home is every account's


def test_what_was_begun_ahead_may_be_gone(accounts: Sshd) -> None:
    """Such as when a step ends all shells that wait for input."""
    endpoint = dataclasses.replace(accounts.endpoint, username="in-bash")
    with contextlib.closing(ssh.connect(endpoint, timeout=20)) as connection:
        connection.run("true")
        connection.run("sleep 0.5; pkill -KILL -u in-bash -f 'exec.*SHELL'; sleep 0.5")
        for _ in range(3):
            assert connection.run("echo on").stdout == "on\n"
