"""A run that is stopped or killed, with a real machine in its hands."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

BUILD = """
@harness.build(harness.Qemu(%s))
def web(machine): machine.shell("echo provisioning", "sleep 600")

def test_x(web): pass
"""


# The options of the machine that each of them waits for; the shape of the last is saved nowhere.
OPTIONS = {"booting": "warm_boot=False", "provisioning": "", "saving": "memory=600"}


def booting(project: VmProject) -> bool:
    return bool(project.qemu_processes())


def saving(project: VmProject) -> bool:
    return booting(project)


def provisioning(project: VmProject) -> bool:
    log = project.path / "reports/web.qemu/build.log"
    return log.exists() and "\nprovisioning\n" in log.read_text()


def start(project: VmProject, until: Callable[[VmProject], bool]) -> subprocess.Popen[str]:
    project.write(BUILD % OPTIONS[until.__name__])
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-v"],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not until(project):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    return process


@pytest.mark.parametrize(
    ("number", "until"),
    [
        (signal.SIGINT, booting),
        (signal.SIGTERM, booting),
        (signal.SIGINT, saving),
        (signal.SIGINT, provisioning),
        (signal.SIGTERM, provisioning),
    ],
)
def test_a_signal_leaves_nothing(
    vm_project: VmProject, number: signal.Signals, until: Callable[[VmProject], bool]
) -> None:
    process = start(vm_project, until)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (2 if number == signal.SIGINT else 143), output
    assert vm_project.leftovers() == []
    assert vm_project.images() == []


def test_after_a_kill_the_next_run_removes_machine_and_files(vm_project: VmProject) -> None:
    process = start(vm_project, booting)
    process.kill()
    process.communicate()
    assert len(vm_project.qemu_processes()) == 1, "the machine outlives a killed run"
    vm_project.pytester.makepyfile(
        test_builds="import harness\nfrom harness.testing import FakeSource\n"
        "@harness.build(FakeSource())\ndef web(machine): pass\ndef test_x(web): pass\n"
    )
    result = vm_project.run()
    result.stdout.fnmatch_lines(
        [
            "left by a killed run, removed: process */machines/*web.qemu of web.qemu, run *",
            "left by a killed run, removed: directory */machines/*web.qemu of web.qemu, run *",
        ]
    )
    assert vm_project.leftovers() == []
