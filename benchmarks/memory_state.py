"""From a saved machine to SSH: its memory as it is on disk, or compressed.

A machine with 1 GiB is saved as builds save theirs. Then it is resumed from its memory as it is
(sparse; QEMU maps it, and reads the pages that the guest touches), and from the same memory
compressed, which is unpacked into a sparse file first; in turn, with none of the state in the page
cache ("cold") and with what the time before has left there ("warm"). Seconds are those until the
machine has its own clock, randomness and keys, and runs commands.

    python benchmarks/memory_state.py [--runs 5]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from harness import Qemu, cache
from harness.cancel import CancelToken
from harness.events import Dispatcher
from harness.journal import Journal
from harness.sources.base import Context
from harness.sources.qemu import recipe_bases, recipes
from harness.units import human

PACK = {"zstd": "zstd -q -1 {} -o {}", "lz4": "lz4 -q -1 {} {}"}
UNPACK = {"zstd": "zstd -q -d {} -o {}", "lz4": "lz4 -q -d {} {}"}
"""Both leave holes for zeros."""
SOURCE = Qemu(accelerator="tcg")


def main() -> None:
    """Time each way in turn and print medians and minima."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each, after one that warms up")
    runs = parser.parse_args().runs
    if missing := [name for name in PACK if shutil.which(name) is None]:
        sys.exit(f"not installed: apt-get install {' '.join(missing)}")
    cache.directory().mkdir(parents=True, exist_ok=True)
    # Where states are kept, since the disk makes the difference; but a cache of its own.
    with tempfile.TemporaryDirectory(dir=cache.directory(), prefix="benchmark-") as name:
        work = Path(name)
        _use_own_cache(work)
        print(f"saved in {resume(work):.1f} s")
        (state,) = (path for path in (cache.directory() / "states").iterdir() if path.is_dir())
        measure(work, state, runs)


def measure(work: Path, state: Path, runs: int) -> None:
    """Resume the state in each way."""
    memory = state / "memory"
    raw = memory.rename(work / "memory.raw")
    files = {"raw": raw}
    for packer, command in PACK.items():
        files[packer] = work / f"memory.{packer}"
        started = time.monotonic()
        subprocess.run(command.format(raw, files[packer]).split(), check=True)
        print(f"{packer}: packed in {time.monotonic() - started:.1f} s")
    for way, file in files.items():
        print(f"{way}: {human(file.stat().st_blocks * 512)} on disk")
    times, unpacking = defaultdict(list), defaultdict(list)
    for number in range(runs + 1):
        for way, file in files.items():
            for temperature in ("cold", "warm"):
                if temperature == "cold":
                    drop_from_page_cache(file, *memory.parent.iterdir())
                unpacked, resumed = resume_from(work, way, file, memory)
                if number:
                    times[way, temperature].append(unpacked + resumed)
                    unpacking[way, temperature].append(unpacked)
    for key, seconds in times.items():
        median, part = statistics.median(seconds), statistics.median(unpacking[key])
        print(f"{' '.join(key)}: median {median:.2f} s (unpacking {part:.2f} s), ", end="")
        print(f"minimum {min(seconds):.2f} s")


def resume_from(work: Path, way: str, file: Path, memory: Path) -> tuple[float, float]:
    """Seconds of unpacking, if need be, and of resuming."""
    started = time.monotonic()
    if way == "raw":
        os.link(file, memory)
    else:
        subprocess.run(UNPACK[way].format(file, memory).split(), check=True)
    unpacked = time.monotonic() - started
    resumed = resume(work)
    memory.unlink()
    return unpacked, resumed


def resume(work: Path) -> float:
    """Seconds until a machine runs commands; it is saved first if none like it is."""
    journal = Journal(work / "run.jsonl")
    run_id = f"benchmark-{time.monotonic_ns()}"
    context = Context("b.qemu", run_id, 0, work, work, journal, CancelToken(), Dispatcher())
    started = time.monotonic()
    try:
        machine = SOURCE.launch(context)
        if machine.inputs["boot"] != "warm":
            sys.exit("the saved machine did not resume")
        seconds = time.monotonic() - started
        SOURCE.connect(machine, context).close()
        SOURCE.destroy(machine, context)
    finally:
        SOURCE.destroy(None, context)
        context.pins.close()
        journal.close()
    return seconds


def _use_own_cache(work: Path) -> None:
    base = recipe_bases.directory(recipes.RECIPES["debian-12"])
    os.environ["XDG_CACHE_HOME"] = str(work)
    if base.exists():
        shutil.copytree(base, recipe_bases.directory(recipes.RECIPES["debian-12"]))


def drop_from_page_cache(*paths: Path) -> None:
    """Have the next reader read them from the disk."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
