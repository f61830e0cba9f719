"""What this computer can give to the machines that run on it."""

from __future__ import annotations

import os
from pathlib import Path

from harness.model import LocalDemand

MACHINE_CORES_PER_CORE = 2
_MIB = 1 << 20


def capacity() -> LocalDemand:
    """The memory that is free now, and as many cores as machines may have between them.

    A machine that boots, or is tested, waits half of its time for something else.
    """
    return LocalDemand(_free_memory() // _MIB, _cores() * MACHINE_CORES_PER_CORE)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_memory() -> int:
    """Bytes; where nothing says what is free, all that there is."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
