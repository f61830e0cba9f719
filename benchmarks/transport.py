"""Steps and files through a line with a round trip of 40 ms: beside Packer, and beside ssh.

(e) 20 trivial shell steps and (f) 1000 files of 1 KB in 20 folders are whole commands: `packer
build` with its ``null`` builder, and `pytest` with a machine that is there already. (g) one file of
200 MB is ``cat file | ssh host 'cat > file'`` beside a login and `machine.put`'s transfer.

    python -m benchmarks.transport [--rounds 5]
"""

from __future__ import annotations

import functools
import os
import shlex
import tempfile
import time
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


def rows(rounds: int) -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory() as name,
        server.behind(Path(name, "server"), ROUND_TRIP) as endpoint,
    ):
        work = Path(name)
        steps = [{"type": "shell", "inline": [f"echo step {n}"]} for n in range(STEPS)]
        yield _beside_packer(
            f"{STEPS} shell steps, 40 ms",
            work,
            endpoint,
            steps,
            f'[machine.shell(f"echo step {{n}}") for n in range({STEPS})]',
            rounds,
            limit=0.12,
        )
        _make_files(work / "files")
        yield _beside_packer(
            f"{FOLDERS * FILES} files of 1 KB, 40 ms",
            work,
            endpoint,
            [{"type": "file", "source": f"{work}/files", "destination": f"{work}/theirs"}],
            f"machine.put({str(work / 'files')!r}, {str(work / 'ours')!r})",
            rounds,
            limit=0.05,
        )
        yield _large_file(work, endpoint, rounds)


def _beside_packer(
    what: str,
    work: Path,
    endpoint: Endpoint,
    provisioners: list[dict[str, Any]],
    calls: str,
    rounds: int,
    *,
    limit: float,
) -> Row:
    table.say(what)
    template = server.packer_template(endpoint, work / "key", provisioners)
    packer = functools.partial(commands.timed, commands.packer(work, template), work)
    builds = commands.pytest(work, server.build(endpoint, calls))
    pytest = functools.partial(commands.timed, builds, work)
    pytest()  # the first compiles it
    return table.compared(what, table.in_turn(rounds, packer, pytest), limit)


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
