"""Programs that are timed, ours and the peer's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parent.parent
PACKER = ("packer", "build", "packer.json")
_AS_USERS = ("-p", "no:hypothesispytest", "-p", "no:xdist", "-p", "no:rerunfailures")
"""Without the plugins that contributors have beside it."""


def pytest(work: Path, builds: str, *options: str) -> list[str]:
    """A `pytest` command for these builds."""
    (work / "test_bench.py").write_text(builds)
    return [sys.executable, "-m", "pytest", *_AS_USERS, "-q", *options, "test_bench.py"]


def packer(work: Path, template: dict[str, Any]) -> list[str]:
    """A `packer build` command for this template."""
    if shutil.which("packer") is None:
        sys.exit("packer is not installed: scripts/system-packages packer")
    (work / "packer.json").write_text(json.dumps(template))
    return [*PACKER]


def timed(
    command: Sequence[str], work: Path, watch: Callable[[int], object] = lambda _: None
) -> float:
    """Seconds of a whole command, which must succeed: else all stops with what it printed.

    Args:
        command: the program and its arguments.
        work: where it runs, and where it keeps what it keeps.
        watch: told the process's id.
    """
    with (work / "printed").open("w+", errors="replace") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=work, env=_environment(work), stdout=output, stderr=subprocess.STDOUT
        )
        watch(process.pid)
        status = process.wait()
        seconds = time.monotonic() - started
        output.seek(0)
        if status:
            sys.exit(f"{' '.join(command)} failed:\n{output.read()}")
    return seconds


def _environment(work: Path) -> dict[str, str]:
    # Where contributors' tools keep Python from it: users' keeps what it has compiled.
    ours = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    return {
        **ours,
        # Packer's own look for newer versions is no part of its work.
        "CHECKPOINT_DISABLE": "1",
        "PACKER_CACHE_DIR": str(work / "cache"),
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(work / "state"),
    }
