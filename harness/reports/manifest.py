"""`reports/manifest.json`: for each build its inputs, its tests, its timings and its image.

`manifest.schema.json` beside this file says what it looks like.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from harness.events import (
    BuildExpected,
    BuildFinished,
    CallFinished,
    Event,
    ImageFollowed,
    ImageRemoved,
    MachineKept,
    MachineLaunched,
    StageFinished,
    TestFinished,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

VERSION = 1
PATH = "reports/manifest.json"
CUT_SHORT = "cut short: no image was taken"
"""The reason of a build that is not over."""
PAUSE = 0.5
"""Seconds between two writings, while there is more to come."""
SHARE = 20
"""Or so many times as long as one took: of hundreds of builds it is a large file."""


class Manifest:
    """Written anew, atomically, as things happen, and once more when the last build is over.

    Several processes may write the builds of one run: each leaves those of the others.
    """

    def __init__(self, root: Path, run_id: str, started: int, *, at_once: bool = False) -> None:
        """``started``: when the run did, in seconds since 1970.

        ``at_once``: what matters when we are killed is written without delay.
        """
        self._path = root / PATH
        self._root = root
        self._run_id = run_id
        self._at_once = at_once
        self._started = datetime.fromtimestamp(started, UTC).isoformat()
        self._builds: dict[str, dict[str, Any]] = {}
        self._unfinished: set[str] = set()
        self._next_write = 0.0

    def __call__(self, event: Event) -> None:
        if not self._note(event):
            return
        began = time.monotonic()
        urgent = not self._unfinished or (self._at_once and _matters(event))
        if urgent or began >= self._next_write:
            self._write()
            took = time.monotonic() - began
            self._next_write = began + took + max(PAUSE, SHARE * took)

    def _note(self, event: Event) -> bool:
        """Whether there is something new to write."""
        if isinstance(event, BuildExpected):
            self._builds[event.build] = self._entry(event)
            self._unfinished.add(event.build)
            return True
        if event.build not in self._builds:
            return False
        entry = self._builds[event.build]
        if isinstance(event, MachineLaunched):
            entry["machine"] = event.machine_id
            entry["inputs"] |= event.inputs
        elif isinstance(event, MachineKept):
            entry["kept"] = event.login
        elif isinstance(event, StageFinished):
            entry["stages"][event.stage] = round(event.seconds, 3)
        elif isinstance(event, CallFinished):
            entry["calls"].append(_call(event))
        elif isinstance(event, TestFinished):
            entry["tests"].append(_test(event))
        elif isinstance(event, ImageFollowed | ImageRemoved):
            _note_after_image(entry, event)
        elif isinstance(event, BuildFinished):
            entry["image"] = event.image.as_dict() if event.image else None
            entry["reason"] = event.reason
            entry |= {"up_to_date": True} if event.up_to_date else {}
            self._unfinished.discard(event.build)
        else:
            return False
        return True

    def _entry(self, event: BuildExpected) -> dict[str, Any]:
        file = os.path.relpath(event.file, self._root)
        return {
            "build": event.build,
            "file": file,
            "source_type": event.source_type,
            "inputs": dict(event.inputs),
            "machine": None,
            "stages": {},
            "calls": [],
            "tests": [],
            "image": None,
            "reason": CUT_SHORT,
        }

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(self._root):
            builds = {entry["build"]: entry for entry in read(self._root, self._run_id)}
            _replace(
                self._root,
                {
                    "version": VERSION,
                    "run": self._run_id,
                    "started": self._started,
                    "written": datetime.now(UTC).isoformat(timespec="seconds"),
                    "builds": list({**builds, **self._builds}.values()),
                },
            )


def give_up(root: Path, run_id: str, builds: Collection[str], reason: str) -> None:
    """Say why these builds of a run, as far as they were not over, never will be."""
    if not builds:
        return
    with _lock(root):
        document = _document(root)
        if document.get("run") != run_id:
            return
        for entry in document["builds"]:
            if entry["build"] in builds and entry["reason"] == CUT_SHORT:
                entry["reason"] = reason
        _replace(root, document)


def read(root: Path, run_id: str) -> list[dict[str, Any]]:
    """The entries of a run's builds, as far as the manifest below ``root`` is that run's."""
    document = _document(root)
    entries: list[dict[str, Any]] = document["builds"] if document.get("run") == run_id else []
    return entries


def _document(root: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((root / PATH).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or somebody else's file
        return {}
    return document


def _replace(root: Path, document: dict[str, Any]) -> None:
    path = root / PATH
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _lock(root: Path) -> FileLock:
    return FileLock((root / PATH).with_name(".manifest.lock"))


def _matters(event: Event) -> bool:
    """Whether an event tells that a build is there, that it was tested, or how it ended."""
    tested = isinstance(event, StageFinished) and event.stage == "test"
    return tested or isinstance(event, BuildExpected | BuildFinished)


def _call(event: CallFinished) -> dict[str, Any]:
    entry = {"call": event.call, "seconds": round(event.seconds, 3)}
    return entry | ({"replayed": True} if event.reason is None else {})


def _note_after_image(entry: dict[str, Any], event: ImageFollowed | ImageRemoved) -> None:
    if isinstance(event, ImageRemoved):
        entry["image_removed"] = True
    else:
        entry.setdefault("after_image", []).append(_follower(event))


def _follower(event: ImageFollowed) -> dict[str, Any]:
    entry = {"name": event.name, "outcome": event.outcome, "seconds": round(event.seconds, 3)}
    optional = {"reason": event.reason, "files": list(event.files)}
    return entry | {name: value for name, value in optional.items() if value}


def _test(event: TestFinished) -> dict[str, Any]:
    entry = {"id": event.nodeid, "outcome": event.outcome, "seconds": round(event.seconds, 3)}
    optional = {"reason": event.reason, "flaky": event.flaky}
    return entry | {name: value for name, value in optional.items() if value}
