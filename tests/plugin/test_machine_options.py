"""What a build says of its machine, through whole sessions."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.project import Project


@pytest.mark.parametrize(
    ("login", "sudo", "printed"),
    [
        ("admin", "", "as admin"),
        ("admin", "sudo=True", "as root"),
        ("admin", "sudo='web'", "as web"),
        ("root", "sudo=True", "as admin"),
        ("admin", "sudo='admin'", "as admin"),
    ],
)
def test_tests_may_be_root(project: Project, login: str, sudo: str, printed: str) -> None:
    project.write(
        f"""
ANSWERS = {{
    "sudo -u root /bin/sh -c whoami": (0, "as root", ""),
    "sudo -u web /bin/sh -c whoami": (0, "as web", ""),
    "whoami": (0, "as admin", ""),
}}

@harness.build(FakeSource(ssh_username="{login}", answers=ANSWERS), {sudo})
def web(machine): pass

def test_user(web): assert web.check_output("whoami") == "{printed}"
"""
    )
    assert project.run().ret == 0


def test_a_machine_reboots_while_it_is_provisioned(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(diary=DIARY))
def web(machine):
    machine.reboot()
    note("after the reboot " + machine.run("true").command)
    machine.provision(harness.provisioners.Shell(inline=["true"]))

def test_x(web): assert web.run("true").succeeded
"""
    )
    assert project.run().ret == 0
    diary = project.diary()
    assert diary[diary.index("web.fake reboot") + 1] == "after the reboot true"
    log = (project.path / "reports/web.fake/build.log").read_text()
    assert "$ reboot\n" in log


def test_a_command_here_that_outlives_a_killed_run_is_ended_by_the_next(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource())
def web(machine): machine.local("trap '' PIPE", "echo $$ >pid", "sleep 600; sleep 600")

def test_x(web): pass
"""
    )
    run = subprocess.Popen([sys.executable, "-m", "pytest"], cwd=project.path)
    pid = project.path / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.kill()
    run.wait()
    left = Path(f"/proc/{pid.read_text().strip()}/stat")
    assert left.exists()
    project.write("@harness.build(FakeSource())\ndef web(machine): pass\ndef test_x(web): pass\n")
    project.run().stdout.fnmatch_lines(["left by a killed run, removed: process * of web.fake, *"])
    while left.exists() and left.read_text().rpartition(")")[2].split()[0] not in "ZX":
        assert time.monotonic() < deadline
        time.sleep(0.05)
