"""A project with builds, run by a pytest of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.tty import Tty

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

HEAD = """
import os, pathlib, time
import harness, pytest
from harness.testing import Diary, FakeSource

class FileDiary(Diary):
    def write(self, build, what):
        super().write(build, what)
        note(f"{build} {what}")

def note(line):
    with (pathlib.Path(__file__).parent / "diary.txt").open("a") as file:
        file.write(line + "\\n")

DIARY = FileDiary()
"""

WEB = """
@harness.build(FakeSource(diary=DIARY))
def web(machine):
    machine.shell("provision")

def test_one(web): pass
def test_two(web): pass
"""


class Project:
    """A folder with builds; its state and cache are its own."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self._started: list[subprocess.Popen[str]] = []
        self._ttys: list[Tty] = []
        for variable in ("CI", "BUILD_NUMBER"):  # there pytest's summary repeats whole messages
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # ours is not the project's
        # A session begins three times as fast without what its tests do not need.
        monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")

    @property
    def path(self) -> Path:
        return self.pytester.path

    def write(self, source: str, name: str = "test_builds") -> None:
        self.pytester.makepyfile(**{name: HEAD + source})

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_subprocess("-v", *arguments)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """A run that goes on, in a session of its own; Ctrl-C reaches it wherever we run."""
        process = subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "pytest", "-v", *arguments],
            cwd=self.path,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def on_terminal(
        self, *arguments: str, columns: int = 80, rows: int = 24, **environ: str
    ) -> Tty:
        """A run that goes on, and that a person looks at."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        tty = Tty(command, self.path, columns, rows, **environ)
        self._ttys.append(tty)
        return tty

    def close(self) -> None:
        """Stop what was started and still runs."""
        for tty in self._ttys:
            tty.close()
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                process.communicate()

    @staticmethod
    def wait(process: subprocess.Popen[str], until: Callable[[], bool]) -> None:
        """Wait until something holds while the process runs."""
        deadline = time.monotonic() + 300
        while not until():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)

    def outcomes(self, *arguments: str) -> dict[str, str]:
        """Each item's outcome by its node id, without the file's name."""
        result = self.run(*arguments)
        found = {}
        for line in result.outlines:
            nodeid, _, rest = line.partition(" ")
            if "::" in nodeid and rest.strip():
                found[nodeid.partition("::")[2]] = rest.split()[0]
        return found

    def diary(self) -> list[str]:
        """What happened to the fake machines, and what tests noted, in order."""
        return (self.path / "diary.txt").read_text().splitlines()

    def manifest(self) -> dict[str, dict[str, Any]]:
        """The manifest's entries, by build."""
        document = json.loads((self.path / "reports" / "manifest.json").read_text())
        return {entry["build"]: entry for entry in document["builds"]}
