"""A real OpenSSH server on this computer that is far away; and a source that is there.

python -m benchmarks.server PORT SECONDS

is the relay, in a process of its own so that it takes nothing from ours: it prints its port, and
ends with its standard input.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import line
from benchmarks.commands import ROOT
from harness import ssh
from harness.model import Endpoint
from harness.testing import FakeSource
from tests import sshd, wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from harness.sources.base import Connection, Context, Instance

CONNECT_TIMEOUT = 60.0


@contextlib.contextmanager
def behind(directory: Path, round_trip: float) -> Iterator[Endpoint]:
    """Where a server is reached that is ``round_trip`` seconds away, if TCP loses no time."""
    directory.mkdir(exist_ok=True)
    with sshd.running(directory) as server, _relay(server.port, round_trip / 2) as port:
        yield dataclasses.replace(server.endpoint, port=port)


@contextlib.contextmanager
def across(directory: Path, round_trip: float) -> Iterator[Endpoint]:
    """The same at the other end of a line where TCP waits for what it would wait for there."""
    directory.mkdir(exist_ok=True)
    with (
        line.of(round_trip) as far,
        sshd.running(directory, address=far.address, wrapper=far.wrapper) as server,
    ):
        yield server.endpoint


@contextlib.contextmanager
def _relay(target: int, delay: float) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.server", str(target), str(delay)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdin
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


@dataclass(frozen=True)
class There(FakeSource):
    """A machine that is there already: nothing is booted, sealed or captured.

    Args:
        endpoint: where it is, as `dataclasses.asdict` has it.
    """

    endpoint: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def connect(self, instance: Instance, context: Context) -> Connection:
        del instance
        at = Endpoint(**self.endpoint)
        return ssh.connect(at, timeout=CONNECT_TIMEOUT, cancelled=context.cancel.is_set)


def build(endpoint: Endpoint, calls: str) -> str:
    """A build module for the server, with these calls in its function."""
    return f"""
import harness
from benchmarks.server import There

@harness.build(
    There(endpoint={dataclasses.asdict(endpoint)!r}, ssh_username={endpoint.username!r}),
    seal=False,
)
def web(machine):
    {calls}

def test_x(web): pass
"""


def packer_template(endpoint: Endpoint, key: Path, provisioners: list[Any]) -> dict[str, Any]:
    """The same with Packer."""
    key.touch(mode=0o600)
    key.write_text(endpoint.private_key)
    builder = {
        "type": "null",
        "ssh_host": endpoint.host,
        "ssh_port": endpoint.port,
        "ssh_username": endpoint.username,
        "ssh_private_key_file": str(key),
    }
    return {"builders": [builder], "provisioners": provisioners}


def main() -> None:
    target, delay = sys.argv[1:]
    with wire.to(int(target), float(delay)) as relay:
        print(relay.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
