"""Steps and files through a line with a round trip of 40 ms: beside Packer, and beside ssh.

20 trivial shell steps, and 1000 files of 1 KB in 20 folders: `packer build` with its ``null``
builder, and `pytest` with a machine that is there already. Compared is what the steps take (the
whole of Packer's command, less one without steps; the calls in our manifest), and, without a
limit, the whole commands. One file of 200 MB: ``cat file | ssh host 'cat > file'`` beside a login
and the transfer of `machine.put`.

    python -m benchmarks.transport [--rounds 5]
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import commands, server, table
from harness import ssh, transfer
from harness.ssh import config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.table import Row
    from harness.model import Endpoint

ROUND_TRIP = 0.04
STEPS = 20
FOLDERS, FILES, SIZE = 20, 50, 1024
LARGE = 200_000_000


@dataclass(frozen=True)
class Job:
    """The same work for Packer and for us."""

    what: str
    provisioners: list[dict[str, Any]]
    calls: str
    limit: float


def rows(rounds: int) -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory() as name,
        server.behind(Path(name, "server"), ROUND_TRIP) as endpoint,
    ):
        work = Path(name)
        _make_files(work / "files")
        for job in _jobs(work):
            yield from _beside_packer(job, work, endpoint, rounds)
        yield _large_file(work, endpoint, rounds)


def _jobs(work: Path) -> Iterator[Job]:
    yield Job(
        f"{STEPS} shell steps, 40 ms",
        [{"type": "shell", "inline": [f"echo step {n}"]} for n in range(STEPS)],
        f'[machine.shell(f"echo step {{n}}") for n in range({STEPS})]',
        limit=0.12,
    )
    yield Job(
        f"{FOLDERS * FILES} files of 1 KB, 40 ms",
        [{"type": "file", "source": f"{work}/files", "destination": f"{work}/theirs"}],
        f"machine.put({str(work / 'files')!r}, {str(work / 'ours')!r})",
        limit=0.05,
    )


def _beside_packer(job: Job, work: Path, endpoint: Endpoint, rounds: int) -> Iterator[Row]:
    table.say(job.what)

    def packer(provisioners: list[dict[str, Any]]) -> float:
        template = server.packer_template(endpoint, work / "key", provisioners)
        return commands.timed(commands.packer(work, template), work)

    ours = functools.partial(
        commands.timed, commands.pytest(work, server.build(endpoint, job.calls)), work
    )
    ours()  # the first compiles it
    whole, steps = [], []
    for theirs, mine in table.in_turn(rounds, lambda: packer(job.provisioners), ours):
        whole.append((theirs, mine))
        steps.append((theirs - packer([]), _seconds_of_calls(work)))
    yield table.compared(job.what, steps, job.limit)
    yield table.compared(f"{job.what}, whole commands", whole)


def _seconds_of_calls(work: Path) -> float:
    manifest = json.loads((work / "reports" / "manifest.json").read_text())
    return float(sum(call["seconds"] for build in manifest["builds"] for call in build["calls"]))


def _make_files(folder: Path) -> None:
    for number in range(FOLDERS):
        sub = folder / f"folder-{number}"
        sub.mkdir(parents=True)
        for name in range(FILES):
            (sub / f"file-{name}").write_bytes(os.urandom(SIZE))


def _large_file(work: Path, endpoint: Endpoint, rounds: int) -> Row:
    what = "one file of 200 MB, 40 ms"
    table.say(what)
    large = work / "large"
    large.write_bytes(os.urandom(LARGE))
    (work / "login").mkdir()
    login = shlex.quote(str(config.write(endpoint, work / "login")))
    pipe = f"cat large | ssh -F {login} {config.HOST} 'cat >{work}/theirs.large'"

    def put() -> float:
        started = time.monotonic()
        connection = ssh.connect(endpoint, timeout=server.CONNECT_TIMEOUT)
        transfer.put(connection, str(large), f"{work}/ours.large", base=work)
        connection.close()
        return time.monotonic() - started

    peer = functools.partial(commands.timed, ["sh", "-c", pipe], work)
    return table.compared(what, table.in_turn(rounds, peer, put), 1.1)


if __name__ == "__main__":
    table.main(rows)
