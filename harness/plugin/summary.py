"""The images section of the terminal, as the manifest has it."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from harness.gate import FAILED, NOT_RUN, PASSED
from harness.reports import manifest
from harness.units import human

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTICED = 0.05
"""Seconds from which a stage is named."""


class Summary:
    """Registered where one session's builds are told: once, whoever ran them."""

    def __init__(self, root: Path, run_id: str) -> None:
        self._root = root
        self._run_id = run_id

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """After a signal pytest prints no summary; what became of the images matters then too."""
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and exitstatus not in set(pytest.ExitCode):
            self.pytest_terminal_summary(reporter)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        entries = manifest.read(self._root, self._run_id)
        if not entries:
            return
        terminalreporter.section("images")
        for entry in entries:
            for line in (*_lines(entry), *_followers(entry), *_times(entry)):
                terminalreporter.write_line(f"{entry['build']}  {line}")
        terminalreporter.write_line(f"manifest: {os.path.relpath(self._root / manifest.PATH)}")


def _lines(entry: dict[str, Any]) -> Iterator[str]:
    image = entry["image"]
    if image is None:
        yield f"no image: {entry['reason']}"
        if "kept" in entry:
            yield f"kept: harness login {entry['build']} (or {entry['kept']})"
            yield f"kept: pytest --attach {entry['build']} tests it anew"
            yield f"kept: harness remove {entry['build']} removes it"
        return
    same = "up to date: " if entry.get("up_to_date") else ""
    yield f"{same}{image['id']}  {human(image['size'])}  {image['checksum']}".rstrip()
    if same:
        return
    yield from (f"also {ami} in {region}" for region, ami in _copies(image["properties"]))
    if entry.get("image_removed"):
        yield "removed: keep_input_artifact=False"
    elif image["stable_path"]:
        yield f"also at {image['stable_path']}"
    # What did not simply pass, and did not keep the image back.
    outcomes = Counter("flaky" if t.get("flaky") else t["outcome"] for t in entry["tests"])
    if named := [f"{n} {outcome}" for outcome, n in outcomes.items() if outcome != PASSED]:
        yield f"of {outcomes.total()} tests: {', '.join(named)}"


def _copies(properties: dict[str, Any]) -> list[tuple[str, str]]:
    """Its other regions, with what it is called there."""
    return [*properties.get("amis", {}).items()][1:]


def _followers(entry: dict[str, Any]) -> Iterator[str]:
    """What was to follow the image and did not, and what came of the rest."""
    for follower in entry.get("after_image", ()) if entry["image"] else ():
        if follower["outcome"] in (FAILED, NOT_RUN):
            yield f"{follower['name']} {follower['outcome']}: the image is there all the same"
        yield from (f"{follower['name']}: {name}" for name in follower.get("files", ()))


def _times(entry: dict[str, Any]) -> Iterator[str]:
    """Where the time went, as far as a person would notice it."""
    stages = {name: taken for name, taken in entry["stages"].items() if taken >= NOTICED}
    if stages:
        yield ", ".join(f"{name} {taken:.1f} s" for name, taken in stages.items())
