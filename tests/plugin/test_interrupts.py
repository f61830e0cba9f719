"""Signals: whatever ends a run, nothing is left, and a killed run is cleaned up by the next."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.project import Project

# A stage that never ends, and a test or a provisioning step that never ends.
STUCK = {
    "boot": 'FakeSource(diary=DIARY, seconds={"boot": 600})',
    "connect": 'FakeSource(diary=DIARY, seconds={"connect": 600})',
    "capture": 'FakeSource(diary=DIARY, seconds={"capture": 600})',
    "test": "FakeSource(diary=DIARY)",
}


def start(project: Project, stage: str) -> subprocess.Popen[str]:
    project.write(
        f"""
@harness.build({STUCK[stage]})
def web(machine): pass

@pytest.fixture
def data(web):
    yield
    web.check_output("true")

def test_x(data):
    note("testing")
    if {stage == "test"}:
        time.sleep(600)
"""
    )
    process = project.start()
    wanted = "testing" if stage == "test" else f"web.fake {stage}"
    diary = project.path / "diary.txt"
    project.wait(process, lambda: diary.exists() and wanted in diary.read_text())
    return process


def journals(path: Path) -> list[Path]:
    return sorted(path.glob("state/pytest-image-harness/journal/*"))


@pytest.mark.parametrize("stage", list(STUCK))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cleans_up(project: Project, stage: str, number: signal.Signals) -> None:
    process = start(project, stage)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == (2 if number == signal.SIGINT else 128 + number), output
    assert project.diary()[-1] == "web.fake destroy"
    assert "web.fake publish" not in project.diary()
    assert journals(project.path) == []
    assert "INTERNALERROR" not in output
    if number == signal.SIGINT:  # pytest prints no summary where another status was asked for
        assert "web.fake  no image: the run was stopped" in output
    entry = project.manifest()["web.fake"]
    assert entry["image"] is None
    assert entry["reason"] == "the run was stopped: no image was taken"


def test_ctrl_c_twice_cleans_up_all_the_same(project: Project) -> None:
    process = start(project, "boot")
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert project.diary()[-1] == "web.fake destroy"
    assert journals(project.path) == []


def test_after_a_kill_the_next_run_says_what_was_left_and_removes_it(project: Project) -> None:
    process = start(project, "boot")
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
