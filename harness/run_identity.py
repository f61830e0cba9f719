"""What tells a run from all others, frozen when it starts: its id, its time, its commit."""

from __future__ import annotations

import secrets
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from harness import environment

if TYPE_CHECKING:
    from pathlib import Path


class RunIdentity(NamedTuple):
    """One run's; workers of pytest-xdist share it."""

    id: str
    started: int
    """In seconds since 1970."""
    uuid: str
    git_sha: str
    """Of the project's last commit; empty: there is none."""


def new(root: Path) -> RunIdentity:
    """The identity of a run of the project in this folder that starts now."""
    started = int(time.time())
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started))
    return RunIdentity(
        f"{stamp}-{secrets.token_hex(3)}", started, str(uuid.uuid4()), _git_sha(root)
    )


def _git_sha(root: Path) -> str:
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", "HEAD"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environment.snapshot(),
        )
    except OSError:  # there is no git
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
