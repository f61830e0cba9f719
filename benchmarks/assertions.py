"""100 mixed assertions: testinfra's own paramiko backend, and ours.

Through a line with a round trip of 50 ms (`benchmarks.line`: as root) to a server on this
computer, and on an emulated machine.
Each round asks the same of a new host on a login that is there already, and both must answer the
same.

    python -m benchmarks.assertions [--rounds 5]
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import testinfra.host  # type: ignore[import-untyped]  # it has no py.typed
from testinfra.backend.paramiko import ParamikoBackend  # type: ignore[import-untyped]  # as above

from benchmarks import commands, line, server, table
from harness import assertions, ssh
from harness.ssh import config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.table import Row
    from harness.sources.base import Connection

ROUND_TRIP = 0.05
PACKAGES = ("base-files", "coreutils", "dash", "dpkg", "libc6", "openssh-server", "tar", "nginx")
PATHS = ("/etc/passwd", "/etc/hosts", "/etc", "/bin/sh", "/usr/bin/env", "/no/such")
USERS = ("root", "daemon", "sshd", "nobody")
GROUPS = ("root", "adm", "sudo", "nogroup")

ON_A_MACHINE = """
import harness
from benchmarks.assertions import beside_stock

@harness.build(harness.Qemu(base="debian-12", accelerator="tcg"), untested=True)
def web(machine):
    beside_stock(machine.connection, machine.ssh_config, {rounds}, {result!r})
"""


def rows(rounds: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        work, result = Path(name), Path(name, "result.json")
        yield _far_away(work, result, rounds)
        table.say("100 assertions, emulated machine")
        builds = ON_A_MACHINE.format(rounds=rounds, result=str(result))
        commands.timed(commands.pytest(work, builds), work)
        yield table.compared("100 assertions, emulated", _pairs(result), 0.35)


def _far_away(work: Path, result: Path, rounds: int) -> Row:
    what, limit = "100 assertions, 50 ms", 0.25
    table.say(what)
    if missing := line.missing():
        return table.not_measured(what, limit, missing)
    with server.across(work / "server", ROUND_TRIP) as endpoint:
        connection = ssh.connect(endpoint, timeout=server.CONNECT_TIMEOUT)
        with contextlib.closing(connection):
            (work / "login").mkdir()
            login = config.write(endpoint, work / "login")
            beside_stock(connection, login, rounds, str(result))
    return table.compared(what, _pairs(result), limit)


def _pairs(result: Path) -> list[tuple[float, float]]:
    return [(peer, ours) for peer, ours in json.loads(result.read_text())]


def beside_stock(connection: Connection, login: Path, rounds: int, result: str) -> None:
    """Ask both in turn; the file ``result`` gets the seconds of each round."""
    backend = ParamikoBackend(config.HOST, ssh_config=str(login))
    answers: list[list[Any]] = []

    def seconds(host: Any) -> float:
        started = time.monotonic()
        answers.append([question(host) for question in _questions()])
        return time.monotonic() - started

    def stock() -> float:
        host = testinfra.host.Host(backend)
        backend.set_host(host)
        return seconds(host)

    def ours() -> float:
        return seconds(assertions.host(connection, "bench"))

    with warnings.catch_warnings(), contextlib.closing(backend.client):
        warnings.simplefilter("ignore")  # it knows no host key
        connection.execute("true")
        pairs = list(table.in_turn(rounds, stock, ours))
    assert all(each == answers[0] for each in answers)
    Path(result).write_text(json.dumps(pairs))


def _questions() -> list[Callable[[Any], Any]]:
    """What a test asks of a host, a hundred times."""
    return [
        *(lambda h, n=n: h.package(n).is_installed for n in PACKAGES),
        *(lambda h, n=n: h.package(n).version for n in PACKAGES[:-1]),
        *(lambda h, p=p: h.file(p).exists for p in PATHS),
        *(lambda h, p=p: h.file(p).is_directory for p in PATHS),
        *(lambda h, p=p: h.file(p).mode for p in PATHS[:-1]),
        *(lambda h, p=p: h.file(p).user for p in PATHS[:-1]),
        *(lambda h, p=p: h.file(p).size for p in PATHS[:-1]),
        *(lambda h, p=p: h.file(p).linked_to for p in PATHS[:-1]),
        lambda h: h.file("/etc/passwd").contains("^root:"),
        lambda h: h.file("/etc/hosts").content_string,
        *(lambda h, n=n: h.user(n).exists for n in USERS),
        *(lambda h, n=n: h.user(n).uid for n in USERS),
        *(lambda h, n=n: h.user(n).home for n in USERS),
        *(lambda h, n=n: h.user(n).shell for n in USERS),
        *(lambda h, n=n: h.user(n).groups for n in USERS),
        *(lambda h, n=n: h.group(n).exists for n in GROUPS),
        *(lambda h, n=n: h.group(n).gid for n in GROUPS),
        *(lambda h, p=p: h.socket(f"tcp://127.0.0.1:{p}").is_listening for p in (22, 80, 443)),
        *(lambda h, n=n: h.service(n).is_running for n in ("ssh", "nginx")),
        *(lambda h, n=n: h.exists(n) for n in ("sh", "tar", "nosuch")),
        lambda h: h.system_info.distribution,
        lambda h: h.sysctl("kernel.ostype"),
        lambda h: h.mount_point("/").exists,
        *(lambda h, n=n: h.check_output(f"echo {n}") for n in range(10)),
        *(lambda h, n=n: h.run(f"exit {n}").rc for n in range(2)),
    ]


if __name__ == "__main__":
    table.main(rows)
