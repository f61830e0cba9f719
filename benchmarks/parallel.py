"""Many builds at once: how long they take together, what each costs, and the same with Packer.

The first part has no machines: `harness.testing.FakeSource` sleeps where others boot and capture,
so that what is left is the harness's own. 200 builds of 1 to 5 s run in one process. The second
part runs 20 builds of 10 trivial steps on this computer: Packer 1.6.6 with its ``null`` builder
and ``shell-local``, ours with `machine.local`; in turn, medians.

    python -m benchmarks.parallel [--rounds 5]
"""

from __future__ import annotations

import json
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import commands, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.table import Row

BUILDS = 200
SHORTEST, LONGEST = 1.0, 5.0
"""Seconds of a build without machine."""
LOCAL_BUILDS, STEPS = 20, 10
"""Of the comparison."""

SLEEPING = """
import harness
from harness.testing import FakeSource

def source(number):
    seconds = {shortest} + ({longest} - {shortest}) * number / max(1, {builds} - 1)
    stages = {{"boot": 0.5, "connect": 0.2, "capture": 0.2}}
    times = {{stage: share * seconds for stage, share in stages.items()}}
    return FakeSource(name=f"n{{number}}", seconds=times, params={{"rest": 0.1 * seconds}})

@harness.build(*(source(n) for n in range({builds})))
def web(machine):
    machine.context.cancel.sleep(machine.params["rest"])

def test_x(web): pass
"""
LOCAL = f"""
import harness
from harness.testing import FakeSource

@harness.build(*(FakeSource(name=f"n{{n}}") for n in range({LOCAL_BUILDS})), seal=False)
def web(machine):
    for step in range({STEPS}):
        machine.local(f"echo step {{step}}")

def test_x(web): pass
"""


@dataclass(frozen=True)
class Cost:
    """Of a command with all its children: seconds, and the most memory at a time, in MiB."""

    seconds: float
    memory: float


def rows(rounds: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        yield _sleeping(work)
        yield from _beside_packer(work, rounds)


def _sleeping(work: Path) -> Row:
    """Builds that only wait: nearly as fast as the slowest of them, at little memory each."""
    table.say(f"{BUILDS} builds of {SHORTEST:g} to {LONGEST:g} s")
    few, many = (
        measured(commands.pytest(work, builds), work)
        for builds in (_sleepers(1), _sleepers(BUILDS))
    )
    each = (many.memory - few.memory) / (BUILDS - 1)
    table.say(f"  {few.memory:.0f} MiB with 1, {each:.2f} MiB for each that is added")
    over = many.seconds - _seconds_of_tests(work)
    what = f"{BUILDS} builds of {SHORTEST:g} to {LONGEST:g} s, to slowest"
    return table.compared(what, [(LONGEST, over)], 1.2)


def _sleepers(builds: int) -> str:
    return SLEEPING.format(shortest=SHORTEST, longest=LONGEST, builds=builds)


def _seconds_of_tests(work: Path) -> float:
    """What the tests of the last run took, pytest's own work around them included."""
    manifest = json.loads((work / "reports" / "manifest.json").read_text())
    return float(sum(build["stages"].get("test", 0.0) for build in manifest["builds"]))


def _beside_packer(work: Path, rounds: int) -> Iterator[Row]:
    what = f"{LOCAL_BUILDS} builds of {STEPS} local steps"
    table.say(what)
    pairs = [(_packer(work), measured(commands.pytest(work, LOCAL), work)) for _ in range(rounds)]
    yield table.compared(f"{what}, time", [(p.seconds, o.seconds) for p, o in pairs], 0.25)
    memory = [(p.memory, o.memory) for p, o in pairs]
    yield table.compared(f"{what}, memory", memory, 0.2, unit="MiB")


def _packer(work: Path) -> Cost:
    steps = [{"type": "shell-local", "inline": [f"echo step {n}"]} for n in range(STEPS)]
    names = [f"n{number}" for number in range(LOCAL_BUILDS)]
    builders = [{"type": "null", "name": name, "communicator": "none"} for name in names]
    template = {"builders": builders, "provisioners": steps}
    return measured(commands.packer(work, template), work)


def measured(command: list[str], work: Path) -> Cost:
    """What a whole command costs."""
    gauges: list[Gauge] = []
    seconds = commands.timed(command, work, lambda pid: gauges.append(Gauge(pid)))
    return Cost(seconds, gauges[0].stop())


class Gauge:
    """Looks every so often at what a process and its children have of this computer's memory.

    Proportional shares (PSS), so that what they share counts once.
    """

    INTERVAL = 0.1

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """The most that was seen, in MiB."""
        self._over.set()
        self._thread.join()
        return self._most / 1024

    def _watch(self) -> None:
        while not self._over.wait(self.INTERVAL):
            self._most = max(self._most, sum(map(_share, _family(self._pid))))


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for member in found:
        found += parents.get(member, [])
    return found


def _share(pid: int) -> int:
    """KiB."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # as above
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    table.main(rows)
