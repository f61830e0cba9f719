"""Processes of a run, found by what stands in their command line: pids are used again."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import environment
from harness.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE_SECONDS = 5.0
"""How long a process may take over its own cleaning before it is killed."""


def kill(marker: str, grace: float = GRACE_SECONDS) -> bool:
    """End every process whose command line holds ``marker``, with its group; was there one?"""
    groups = _groups(marker)
    if not groups:
        return False
    _signal(groups, signal.SIGTERM)
    if not _gone(marker, grace):
        _signal(groups | _groups(marker), signal.SIGKILL)
        if not _gone(marker, grace):
            raise SourceError(f"the process {marker} does not end, not even by SIGKILL")
    return True


class Adopted:
    """A QEMU process of another run, in the place of `subprocess.Popen`.

    Only its parent could learn how it ended. QEMU removes its pid file when it ends in order.
    """

    def __init__(self, marker: str, pid_file: Path) -> None:
        self._marker = marker
        self._pid_file = pid_file
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and not _groups(self._marker):
            self.returncode = -signal.SIGKILL if self._pid_file.exists() else 0
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self._marker, timeout or 0)
            time.sleep(0.02)
        return status

    def kill(self) -> None:
        kill(self._marker)


def _gone(marker: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _groups(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)


def _groups(marker: str) -> set[int]:
    """Process groups that lead a session of their own, as everything that we start does."""
    found = (pid for pid, command in _commands() if marker in command)
    own = os.getpgrp()
    groups = set()
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            groups.add(os.getpgid(pid))
    return groups - {own}


def _commands() -> Iterator[tuple[int, str]]:
    proc = Path("/proc")
    if not (proc / "self" / "cmdline").exists():  # not Linux
        listing = subprocess.run(
            ["ps", "-axo", "pid=,command="],
            capture_output=True,
            text=True,
            check=True,
            env=environment.snapshot(),
        )
        for line in listing.stdout.splitlines():
            pid, _, command = line.strip().partition(" ")
            yield int(pid), command
        return
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                # A zombie's command line is empty: it counts as gone.
                yield int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace")
