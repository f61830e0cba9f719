"""Signals: whatever ends a run, nothing is left, and a killed run is cleaned up by the next."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.project import Project

# Stages that never end, but the last; and functions of the author's that do not.
STAGES = ("boot", "connect", "provision", "test", "seal", "stop", "capture", "publish", "destroy")
NEVER = 600

BUILD = """
def stuck(stage):
    note("web.fake " + stage)
    if stage == {stage!r}:
        time.sleep({never})

@harness.build(FakeSource(diary=DIARY, seconds={{{stage!r}: {seconds}}}))
def web(machine):
    stuck("provision")

@pytest.fixture
def data(web):
    yield
    web.check_output("true")

def test_x(data):
    stuck("test")
"""


def start(project: Project, stage: str) -> subprocess.Popen[str]:
    """A run that is in the middle of the stage."""
    seconds = 2 if stage == "destroy" else NEVER
    project.write(BUILD.format(stage=stage, seconds=seconds, never=NEVER))
    process = project.start()
    wanted = f"web.fake {stage}\n"
    diary = project.path / "diary.txt"
    project.wait(process, lambda: diary.exists() and wanted in diary.read_text())
    return process


def journals(path: Path) -> list[Path]:
    return sorted(path.glob("state/pytest-image-harness/journal/*"))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "signals",
    [[signal.SIGINT], [signal.SIGINT] * 2, [signal.SIGTERM], [signal.SIGHUP]],
    ids=["INT", "INT-INT", "TERM", "HUP"],
)
def test_a_signal_cleans_up(project: Project, stage: str, signals: list[signal.Signals]) -> None:
    process = start(project, stage)
    for number in signals:
        os.killpg(process.pid, number)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=30)
    first = signals[0]
    if len(signals) == 1:  # the second may find Python on its way out
        assert process.returncode == (2 if first == signal.SIGINT else 128 + first), output
    assert project.diary()[-1] == "web.fake destroy"
    assert journals(project.path) == []
    assert "INTERNALERROR" not in output
    entry = project.manifest()["web.fake"]
    if stage == "destroy":
        assert entry["image"] is not None, "it was published before the signal came"
        return
    assert entry["image"] is None
    assert entry["reason"] == "the run was stopped: no image was taken"
    assert output.count("web.fake  no image: the run was stopped") == 1


@pytest.mark.parametrize("stage", STAGES)
def test_after_a_kill_the_next_run_removes_what_was_left(project: Project, stage: str) -> None:
    process = start(project, stage)
    process.kill()
    process.communicate()
    assert len(journals(project.path)) == 2, "the journal of the killed run, and its lock"
    project.write("@harness.build(FakeSource())\ndef web(machine): pass\ndef test_x(web): pass\n")
    result = project.run()
    result.stdout.fnmatch_lines(["left by a killed run, removed: instance fake-* of web.fake, *"])
    assert result.ret == 0
    assert journals(project.path) == []
    assert "left by a killed run" not in project.run().stdout.str()


def test_two_runs_at_once_do_not_reap_each_other(project: Project) -> None:
    first = start(project, "test")
    project.write(
        "@harness.build(FakeSource())\ndef other(machine): pass\ndef test_x(other): pass\n",
        "test_other",
    )
    result = project.run("test_other.py")
    assert result.ret == 0
    assert "left by a killed run" not in result.stdout.str()
    assert len(journals(project.path)) == 2
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
