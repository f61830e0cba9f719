"""Machines that runs left running on purpose (``--on-error=keep``), until somebody removes them.

Each has a private folder beside the journals: what it takes to get at the machine again, and what
must be removed to be rid of it. No run takes such a machine for one that was left behind.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import platformdirs

from harness.model import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.journal import Journal

FILE = "kept.json"


@dataclass(frozen=True)
class Kept:
    """One of them.

    Args:
        build: the build's name.
        root: pytest's rootdir of the run that kept it.
        run_id: that run.
        machine_id: the machine's.
        options: the source's, as they were.
        record: what the source needs to take the machine over.
        resources: what there is of it, newest first.
        calls: the provisioning calls that it has had, as `harness.chain.Chain` records them.
        since: when it was kept, in seconds since 1970.
    """

    build: str
    root: str
    run_id: str
    machine_id: str
    options: Mapping[str, Any]
    record: Mapping[str, Any]
    resources: Sequence[Resource]
    calls: Sequence[Mapping[str, Any]] = ()
    since: float = field(default_factory=time.time)

    @property
    def folder(self) -> Path:
        return directory() / self.machine_id

    @property
    def ssh_config(self) -> Path:
        """With which `ssh -F` reaches it, as the host ``default``."""
        return self.folder / "ssh_config"

    @property
    def login(self) -> str:
        """A command that opens a shell on it."""
        return f"ssh -F '{self.ssh_config}' default"


def directory() -> Path:
    """Where they are noted: the platform's state directory (``XDG_STATE_HOME`` on Linux)."""
    return platformdirs.user_state_path("pytest-image-harness") / "kept"


def note(kept: Kept, journal: Journal) -> None:
    """Write a machine down as kept; the run that made it has nothing to do with it any more."""
    kept.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    partial = kept.folder / f"{FILE}.partial"
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(dataclasses.asdict(kept)), encoding="utf-8")
    partial.replace(kept.folder / FILE)
    for resource in kept.resources:
        journal.gone(resource)


def take(kept: Kept, journal: Journal) -> None:
    """Make a kept machine a run's own, which removes it like any other that it made."""
    for resource in reversed(kept.resources):
        journal.intend(resource)
    forget(kept)


def put_back(kept: Kept, ssh_config: bytes, journal: Journal) -> None:
    """Note a machine again as it was before a run took it; ``ssh_config`` is that file's text."""
    kept.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    kept.ssh_config.write_bytes(ssh_config)
    note(kept, journal)


def forget(kept: Kept) -> None:
    """Remove the note of a machine, with what it takes to get at it."""
    shutil.rmtree(kept.folder, ignore_errors=True)


def find(build: str | None = None, root: Path | None = None) -> list[Kept]:
    """The kept machines, of one build and of one project if they are named; the newest first."""
    found = [kept for path in directory().glob(f"*/{FILE}") if (kept := _read(path))]
    wanted = [
        kept
        for kept in found
        if build in (None, kept.build) and (root is None or kept.root == str(root))
    ]
    return sorted(wanted, key=lambda kept: kept.since, reverse=True)


def _read(path: Path) -> Kept | None:
    """None: somebody has damaged it."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        resources = [Resource(**resource) for resource in values.pop("resources")]
        return Kept(**values, resources=resources)
    except (OSError, ValueError, LookupError, TypeError):
        return None
