"""A run or its machine that ends in the middle of any stage: nothing is left, nothing is lost."""

from __future__ import annotations

import os
import signal
import stat
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm


class Stuck(NamedTuple):
    """A build that never gets beyond a stage, and says in a file when it is there."""

    options: str = ""
    provision: str = ""
    test: str = ""
    seal: str = ""


STUCK = {
    "boot": Stuck(options="warm_boot=False"),
    "saving": Stuck(options="memory=600 + os.getpid() % 100"),  # a shape that is saved nowhere yet
    "provision": Stuck(provision="echo provision; sleep 600"),
    "test": Stuck(test="sleep 600"),
    "seal": Stuck(seal="echo seal; sleep 600"),
    "shutdown": Stuck(options="shutdown_command='echo shutdown >/dev/ttyS0; sleep 600'"),
    "capture": Stuck(),
}

BUILD = """
@harness.build(
    harness.Qemu({stuck.options}),
    seal=harness.Seal(also=[{stuck.seal!r} or "true"]),
)
def web(machine): machine.shell({stuck.provision!r} or "true")

def test_x(web):
    pathlib.Path("test").touch()
    web.check_output({stuck.test!r} or "true")
"""

# The real one never ends, so that the stage does not.
QEMU_IMG = """#!/bin/sh
[ "$1" != convert ] || {{ touch {marker}; sleep 600; }}
exec /usr/bin/qemu-img "$@"
"""


def reached(project: VmProject, stage: str) -> bool:
    """Whether the build is in the middle of the stage."""
    if stage in ("boot", "saving"):
        return bool(project.pids("qemu-system"))
    if stage == "shutdown":
        consoles = project.machines().glob("*/console.log")
        return any(b"shutdown\r\n" in console.read_bytes() for console in consoles)
    if stage in ("test", "capture"):
        return (project.path / stage).exists()
    log = project.path / "reports/web.qemu/build.log"
    return log.exists() and f"\n{stage}\n" in log.read_text()


@pytest.fixture(params=STUCK)
def stage(request: pytest.FixtureRequest) -> str:
    stage: str = request.param
    return stage


def run(project: VmProject, stage: str) -> subprocess.Popen[str]:
    """A run that is in the middle of the stage."""
    project.write(BUILD.format(stuck=STUCK[stage]))
    path = os.environ["PATH"]
    if stage == "capture":
        program = project.path / "bin/qemu-img"
        program.parent.mkdir()
        program.write_text(QEMU_IMG.format(marker=project.path / "capture"))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        path = f"{program.parent}:{path}"
    process = project.start(PATH=path)
    project.wait(process, lambda: reached(project, stage))
    return process


def check_that_nothing_is_left(project: VmProject) -> None:
    assert project.leftovers() == []
    assert project.images() == []


# Where QEMU or qemu-img is at work, or the guest; tests/plugin has all stages without a machine.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["boot", "saving", "provision", "shutdown", "capture"])
def test_a_signal_leaves_nothing(vm_project: VmProject, stage: str, number: signal.Signals) -> None:
    process = run(vm_project, stage)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (2 if number == signal.SIGINT else 143), output
    assert vm_project.manifest()["web.qemu"]["reason"] == (
        "the run was stopped: no image was taken"
    )
    check_that_nothing_is_left(vm_project)


def test_ctrl_c_twice_leaves_nothing(vm_project: VmProject, stage: str) -> None:
    process = run(vm_project, stage)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    check_that_nothing_is_left(vm_project)


def test_after_a_kill_the_next_run_removes_everything(vm_project: VmProject, stage: str) -> None:
    process = run(vm_project, stage)
    process.kill()
    process.communicate()
    if stage != "capture":
        assert len(vm_project.pids("qemu-system")) == 1, "the machine outlives a killed run"
    (vm_project.path / "test_builds.py").unlink()
    vm_project.write(
        "@harness.build(FakeSource())\ndef web(machine): pass\ndef test_x(web): pass\n", "test_next"
    )
    result = vm_project.run()
    what = "process */states/*" if stage == "saving" else "process */machines/*web.qemu"
    result.stdout.fnmatch_lines([f"left by a killed run, removed: {what} of web.qemu, run *"])
    check_that_nothing_is_left(vm_project)


def test_a_machine_that_dies(vm_project: VmProject, stage: str) -> None:
    process = run(vm_project, stage)
    (pid,) = vm_project.pids("qemu-img" if stage == "capture" else "qemu-system")
    os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    what = "exit status 137" if stage == "capture" else "QEMU was killed by SIGKILL"
    assert what in output
    assert vm_project.manifest()["web.qemu"]["image"] is None
    check_that_nothing_is_left(vm_project)
