"""Many builds at once: how long they take together, what each costs, and the same with Packer.

The first part has no machines: `harness.testing.FakeSource` sleeps where others boot and capture,
so that what is left is the harness's own. 200 builds of 1 to 5 s run in one process. The second
part runs 20 builds of 10 trivial steps on this computer: Packer 1.6.6 with its ``null`` builder
and ``shell-local``, ours with `machine.local`; five times each, in turn, medians.

    python benchmarks/parallel.py [--builds 200] [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT_OF_SLOWEST = 1.2
SHORTEST, LONGEST = 1.0, 5.0
"""Seconds of a build without machine."""
TIME_RATIO, MEMORY_RATIO = 0.25, 0.2
"""Ours to Packer's."""
BUILDS, STEPS = 20, 10
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

@harness.build(*(FakeSource(name=f"n{{n}}") for n in range({BUILDS})), seal=False)
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


def main() -> None:
    """Print both parts, each with what it has to beat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=200, help="of the first part")
    parser.add_argument("--runs", type=int, default=5, help="of each, in the second part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sleeping(work, options.builds)
        beside_packer(work, options.runs)


def sleeping(work: Path, builds: int) -> None:
    """Builds that only wait: nearly as fast as the slowest of them, at little memory each."""
    few, many = (ours(work, fake(n)) for n in (1, builds))
    limit = LONGEST * LIMIT_OF_SLOWEST
    each = (many.memory - few.memory) / max(1, builds - 1)
    over = many.seconds - tests(work)
    print(f"{builds} builds of {SHORTEST:.0f} to {LONGEST:.0f} s: {many.seconds:.1f} s,")
    print(f"without their tests {over:.1f} s (at most {limit:.1f} s: {verdict(over <= limit)})")
    print(f"memory: {few.memory:.0f} MiB with 1 build, {many.memory:.0f} MiB with {builds}:")
    print(f"{each:.2f} MiB for each")


def fake(builds: int) -> str:
    return SLEEPING.format(shortest=SHORTEST, longest=LONGEST, builds=builds)


def beside_packer(work: Path, runs: int) -> None:
    """The same steps with Packer: a quarter of its time, a fifth of its memory."""
    if shutil.which("packer") is None:
        print("\npacker is not installed (scripts/system-packages packer): no comparison")
        return
    rounds = [(packer(work), ours(work, LOCAL)) for _ in range(runs)]
    theirs, mine = zip(*rounds, strict=True)
    print(f"\n{BUILDS} builds of {STEPS} local steps, medians of {runs}:")
    for name, costs in (("packer", theirs), ("pytest", mine)):
        seconds = statistics.median(c.seconds for c in costs)
        memory = statistics.median(c.memory for c in costs)
        print(f"{name}: {seconds:.1f} s, {memory:.0f} MiB")
    for name, limit, ratios in (
        ("time", TIME_RATIO, [m.seconds / t.seconds for t, m in rounds]),
        ("memory", MEMORY_RATIO, [m.memory / t.memory for t, m in rounds]),
    ):
        ratio = statistics.median(ratios)
        print(f"ratio of {name}: {ratio:.2f} (at most {limit}: {verdict(ratio <= limit)})")


def verdict(held: bool) -> str:
    return "holds" if held else "does not hold"


def ours(work: Path, builds: str) -> Cost:
    (work / "test_bench.py").write_text(builds)
    return measured([sys.executable, "-m", "pytest", "-q", "test_bench.py"], work)


def tests(work: Path) -> float:
    """Seconds that the tests of the last run took, pytest's own work around them included."""
    manifest = json.loads((work / "reports" / "manifest.json").read_text())
    return float(sum(build["stages"].get("test", 0.0) for build in manifest["builds"]))


def packer(work: Path) -> Cost:
    steps = [{"type": "shell-local", "inline": [f"echo step {n}"]} for n in range(STEPS)]
    builders = [{"type": "null", "name": f"n{n}", "communicator": "none"} for n in range(BUILDS)]
    (work / "packer.json").write_text(json.dumps({"builders": builders, "provisioners": steps}))
    return measured(["packer", "build", "packer.json"], work)


def measured(command: list[str], work: Path) -> Cost:
    """Run it, or stop everything with what it printed."""
    environment = {
        **os.environ,
        "CHECKPOINT_DISABLE": "1",
        "PACKER_CACHE_DIR": str(work / "cache"),
        "XDG_STATE_HOME": str(work / "state"),
    }
    with (work / "output").open("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=work, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        gauge = Gauge(process.pid)
        status = process.wait()
        seconds = time.monotonic() - started
        output.seek(0)
        if status:
            sys.exit(f"{' '.join(command)} failed:\n{output.read()[-2000:]}")
    return Cost(seconds, gauge.stop())


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
    main()
