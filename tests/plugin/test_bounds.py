"""How many builds run at once, and when those that wait begin."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
from harness.model import LocalDemand

HUGE = LocalDemand(memory=1 << 40, cpus=1)  # no computer holds two of them, nor even one

def source(name, demands=LocalDemand(), **seconds):
    return FakeSource(name=name, diary=DIARY, demands=demands, seconds=seconds)

@harness.build({sources})
def web(machine): pass

def test_x(web): {test}
"""


def write(project: Project, sources: str, test: str = "pass") -> None:
    project.write(BUILDS.format(sources=sources, test=test))


def most_at_once(project: Project) -> int:
    """How many machines there were at a time."""
    there: set[str] = set()
    most = 0
    for line in project.diary():
        build, what = line.split(maxsplit=1)
        if what == "boot":
            there.add(build)
        elif what == "destroy":
            there.remove(build)
        most = max(most, len(there))
    return most


@pytest.mark.parametrize("builds", [1, 2])
def test_the_option_bounds_builds_of_any_kind(project: Project, builds: int) -> None:
    write(project, "*(source(n, boot=0.3) for n in 'abcde')")
    result = project.run(f"--parallel-builds={builds}")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [f"{5 - builds} of 5 builds wait for others to end: --parallel-builds {builds}"]
    )
    assert len(project.manifest()) == 5
    assert all(entry["image"] for entry in project.manifest().values())
    assert most_at_once(project) == builds


@pytest.mark.parametrize(("builds", "workers"), [(1, 2), (2, 3), (3, 2)])
def test_the_option_bounds_what_all_workers_do(project: Project, builds: int, workers: int) -> None:
    write(project, "*(source(n, boot=0.3) for n in 'abcdef')")
    assert project.run(f"--parallel-builds={builds}", "-n", str(workers)).ret == 0
    assert [bool(e["image"]) for e in project.manifest().values()] == [True] * 6
    assert most_at_once(project) <= builds


def test_workers_share_this_computer(project: Project) -> None:
    """Of machines too large for a worker's part no two run at once; elsewhere others go on."""
    write(project, "*(source(n, HUGE, boot=0.5) for n in 'abc'), source('z')")
    assert project.run("-n", "3").ret == 0
    assert len(project.manifest()) == 4
    here = [line for line in project.diary() if "web.z" not in line]
    (project.path / "diary.txt").write_text("\n".join(here))
    assert most_at_once(project) == 1


def test_machines_elsewhere_are_not_bounded(project: Project) -> None:
    write(project, "*(source(n, boot=0.5) for n in 'abcde')")
    result = project.run()
    result.stdout.no_fnmatch_line("*wait for others*")
    assert most_at_once(project) == 5


def test_machines_here_are_as_many_as_fit_and_that_is_said(project: Project) -> None:
    sources = "source('a', HUGE, boot=0.3), source('b', HUGE), source('c', boot=0.3)"
    write(project, sources)
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "1 of 3 builds wait for others to end: this computer's * of free memory and * core* "
            "hold no more local machines at once (--parallel-builds sets another bound)"
        ]
    )
    diary = project.diary()
    assert diary.index("web.a destroy") < diary.index("web.b boot")
    assert diary.index("web.c boot") < diary.index("web.a destroy"), "what is elsewhere goes on"
    assert most_at_once(project) == 2


def test_a_build_begins_when_a_machine_has_gone_though_a_test_still_runs(project: Project) -> None:
    """The machine of `a` goes behind the test of `c`, and that of `b` boots there and then."""
    test = """
    def seen(): return (pathlib.Path(__file__).parent / "diary.txt").read_text()
    if web.backend.hostname == "web.c":
        while "web.b boot" not in seen(): time.sleep(0.05)
        assert "web.a destroy" in seen()
"""
    sources = "source('a', HUGE, capture=0.5), source('b', HUGE), source('c', boot=0.2)"
    write(project, sources, test)
    assert project.run().ret == 0


def test_a_build_that_fails_makes_room(project: Project) -> None:
    failing = "FakeSource(name='a', diary=DIARY, fails={'boot': 'no'}, demands=HUGE)"
    write(project, f"{failing}, source('b', HUGE)")
    assert project.run().ret == 1
    assert project.manifest()["web.b"]["image"]


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_number_that_is_none(project: Project, text: str) -> None:
    write(project, "source('a')")
    result = project.run(f"--parallel-builds={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*argument --parallel-builds: '{text}' is no number of builds: write 1 or more"]
    )


def test_after_the_first_failure_nothing_begins(project: Project) -> None:
    write(project, "source('a'), source('b')", "assert False")
    assert project.run("-x", "--parallel-builds=1").ret == 1
    assert "web.b boot" not in project.diary()
    reason = project.manifest()["web.b"]["reason"]
    assert reason == "the run was stopped before this build began: no image was taken"


def test_after_a_signal_nothing_begins(project: Project) -> None:
    write(project, "source('a', boot=600), source('b')")
    process = project.start(PYTEST_ADDOPTS="--parallel-builds=1")
    diary = project.path / "diary.txt"
    project.wait(process, lambda: diary.exists() and "web.a boot" in diary.read_text())
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "web.b  no image: the run was stopped before this build began" in output
    assert "web.b boot" not in project.diary()
    assert "web.a destroy" in project.diary()
