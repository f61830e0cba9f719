"""Builds under pytest-xdist."""

from __future__ import annotations

import os
import signal
import xml.etree.ElementTree as ET
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness import journal

if TYPE_CHECKING:
    from tests.project import Project

# In the order of their names the builds go to gw0, gw1, gw0.
BUILDS = """
@harness.build(FakeSource(diary=DIARY), FakeSource(diary=DIARY, name="two"))
def db(machine): pass

@harness.build(FakeSource(diary=DIARY))
def web(machine): pass

def test_db(db): at("db")
def test_more_of_db(db): pass
def test_web(web): at("web")
def test_more_of_web(web): pass
def test_plain(): at("plain")
"""
NAMES = ["db.fake", "db.two", "web.fake"]


def write(project: Project, at: str = "pass") -> None:
    """``at``: what happens in some tests, of ``name``, on the worker ``me``."""
    project.write(
        f"def at(name):\n    me = os.environ.get('PYTEST_XDIST_WORKER')\n    {at}\n{BUILDS}"
    )


def images(project: Project) -> dict[str, bool]:
    return {name: entry["image"] is not None for name, entry in project.manifest().items()}


def count(project: Project, what: str) -> Counter[str]:
    """How often something happened to each build's machines."""
    lines = (line.split() for line in project.diary())
    return Counter(words[0] for words in lines if words[1:] == [what])


def nothing_is_left(project: Project) -> bool:
    return count(project, "boot") == count(project, "destroy") and not list(
        journal.directory().glob("*")
    )


@pytest.mark.parametrize("dist", ["load", "loadgroup", "worksteal", "each", "loadfile"])
def test_whatever_dist_says_each_machine_boots_once(project: Project, dist: str) -> None:
    write(project)
    result = project.run("-n", "2", "--dist", dist)
    assert result.ret == 0
    result.assert_outcomes(passed=13)
    assert count(project, "boot") == Counter(NAMES)
    assert images(project) == dict.fromkeys(NAMES, True)


def test_there_is_one_report_of_each_kind(project: Project) -> None:
    write(project)
    result = project.run("-n", "2")
    text = result.stdout.str()
    assert text.count("manifest: reports/manifest.json") == 1
    for name in NAMES:
        assert text.count(f"{name}  image-of-fake") == 1
        assert (project.path / "reports" / name / "build.log").exists()
    cases = list(ET.parse(project.path / "reports" / "junit.xml").iter("testcase"))
    assert len(cases) == 13
    told = {p.get("value") for case in cases for p in case.iter("property")}
    assert set(NAMES) < told
    assert list((project.path / "reports").glob("**/*gw*")) == []


def test_more_workers_than_builds(project: Project) -> None:
    write(project)
    result = project.run("-n", "6")
    assert result.ret == 0
    result.assert_outcomes(passed=13)


def test_a_collection_replaces_no_report(project: Project) -> None:
    write(project)
    result = project.run("-n", "2", "--collect-only")
    assert result.ret == 0
    assert not (project.path / "reports").exists()


def test_a_selection(project: Project) -> None:
    write(project)
    result = project.run("-n", "2", "--only", "web", "-k", "not plain")
    assert result.ret == 0
    assert images(project) == {"web.fake": True}


def test_a_failure_takes_only_its_own_image(project: Project) -> None:
    write(project, "assert name != 'web'")
    result = project.run("-n", "2")
    assert result.ret == 1
    assert images(project) == {"db.fake": True, "db.two": True, "web.fake": False}
    assert "web.fake: 1 of 2 tests failed (test_web[fake]): no image" in result.stdout.str()


def test_a_worker_that_dies_is_not_replaced_and_all_that_it_leaves_undone_fails(
    project: Project,
) -> None:
    write(project, "name == 'db' and me == 'gw1' and os.kill(os.getpid(), 9)")
    result = project.run("-n", "2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "FAILED test_builds.py::test_more_of_db[[]two] - not run: worker gw1 died",
            "FAILED test_builds.py::db::image[[]two] - not run: worker gw1 died",
            "FAILED test_builds.py::test_db[[]two] - worker 'gw1' crashed while running*",
        ]
    )
    assert "replacing crashed worker" not in result.stdout.str()
    assert images(project) == {"db.fake": True, "db.two": False, "web.fake": True}
    result.stdout.fnmatch_lines(["db.two  no image: worker gw1 died before this build was over"])
    result.stdout.fnmatch_lines(["left by a killed run, removed: instance fake-* of db.two, *"])
    assert not list(journal.directory().glob("*"))
    assert count(project, "boot") == Counter(NAMES)


def test_builds_of_a_worker_that_died_are_told(project: Project) -> None:
    """One that was tested already and one at its tests; the other worker's goes on."""
    project.write(
        """
def wait_for(line):
    while line not in (pathlib.Path(__file__).parent / "diary.txt").read_text():
        time.sleep(0.05)

@harness.build(*(FakeSource(name=n, diary=DIARY) for n in "abc"))
def web(machine):
    if machine.only("c"):
        wait_for("web.a capture")

def test_x(web):
    if web.backend.hostname == "web.c":
        os.kill(os.getpid(), 9)
"""
    )
    result = project.run("-n", "2")
    assert result.ret == 1
    manifest = project.manifest()
    assert sorted(manifest) == ["web.a", "web.b", "web.c"]
    assert [t["outcome"] for t in manifest["web.a"]["tests"]] == ["passed"]
    assert manifest["web.b"]["image"]
    assert manifest["web.c"]["reason"] == "worker gw0 died before this build was over"
    result.stdout.fnmatch_lines(["web.c  no image: worker gw0 died before this build was over"])


@pytest.mark.parametrize("later", ["gw0", "gw1"])
def test_a_worker_that_dies_before_it_has_collected(project: Project, later: str) -> None:
    """Before the other worker is ready, and after."""
    write(project)
    (project.path / "conftest.py").write_text(
        "import os, time\n"
        "me = os.environ.get('PYTEST_XDIST_WORKER')\n"
        f"if me == {later!r}: time.sleep(2)\n"
        "if me == 'gw1': os.kill(os.getpid(), 9)\n"
    )
    result = project.run("-n", "2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED worker gw1 - not run: worker gw1 died"])
    assert images(project) == {"db.fake": True, "web.fake": True}


def test_a_test_that_may_ask_for_a_build_goes_where_it_is(project: Project) -> None:
    write(project)
    with (project.path / "test_builds.py").open("a") as file:
        file.write(
            "\n@pytest.mark.parametrize('name', ['db', 'web'])\n"
            "def test_beside(request, name):\n    assert False\n"
        )
    result = project.run("-n", "2")
    assert result.ret == 1
    assert images(project) == dict.fromkeys(NAMES, False)
    assert count(project, "boot") == Counter(NAMES)


def test_exit_first_cancels_the_builds_of_all_workers(project: Project) -> None:
    write(project, "name == 'plain' or time.sleep(60); all_are_launched(); assert False")
    with (project.path / "test_builds.py").open("a") as file:
        file.write(
            """
def all_are_launched():
    path = pathlib.Path(__file__).parent / "diary.txt"
    while not (path.exists() and path.read_text().count(" boot") == 3):
        time.sleep(0.05)
"""
        )
    result = project.run("-n", "2", "-x")
    assert result.ret != 0
    assert images(project) == dict.fromkeys(NAMES, False)
    assert nothing_is_left(project)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing(project: Project, number: signal.Signals) -> None:
    write(project, "note(f'in {name}'); time.sleep(60)")
    process = project.start("-n", "2", "-k", "not plain")
    diary = project.path / "diary.txt"
    project.wait(process, lambda: diary.exists() and diary.read_text().count("in ") == 2)
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert nothing_is_left(project), output
    assert output.count("no image: the run was stopped") == 3
    assert "INTERNALERROR" not in output


def test_when_the_controller_is_killed_the_workers_clean_up(project: Project) -> None:
    write(project, "note(f'in {name}'); time.sleep(60)")
    process = project.start("-n", "2", "-k", "not plain")
    diary = project.path / "diary.txt"
    project.wait(process, lambda: diary.exists() and diary.read_text().count("in ") == 2)
    process.kill()
    process.communicate()
    while not nothing_is_left(project):
        pass


def test_notices_reach_the_terminal(project: Project) -> None:
    write(project, "note(f'in {name}'); time.sleep(60)")
    process = project.start("-k", "test_web")
    diary = project.path / "diary.txt"
    project.wait(process, lambda: diary.exists() and "in web" in diary.read_text())
    process.kill()
    process.communicate()
    write(project)
    result = project.run("-n", "2")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["left by a killed run, removed: instance fake-* of web.fake, *"])
    assert result.stdout.str().count("left by a killed run") == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--only", "nope"], "--only=nope: there is no such build"),
        (["--attach", "db.two"], "--attach=db.two: no machine of that build was kept here"),
        (["no_such_file.py", "."], "file or directory not found: no_such_file.py"),
    ],
    ids=str,
)
def test_a_usage_error_of_workers_is_told_once(
    project: Project, options: list[str], sentence: str
) -> None:
    write(project)
    result = project.run("-n", "2", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().count(f"ERROR: {sentence}") == 1
    assert not (project.path / "diary.txt").exists()
    assert not (project.path / "reports" / "manifest.json").exists()


def test_what_one_worker_refuses_keeps_all_from_building(project: Project) -> None:
    """Mistakes of both workers are told, and the third build, which has none, is not begun."""
    project.write(
        """
@harness.build(
    harness.Qemu(name="a", base="/nonexistent.qcow2"),
    harness.Qemu(name="b", base="/missing.qcow2"),
    FakeSource(name="q", diary=DIARY),
)
def web(machine): pass

def test_x(web): pass
"""
    )
    for workers in ("2", "3", "4"):
        result = project.run("-n", workers)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert result.stderr.str().count("ERROR: web.a: ") == 1
        assert result.stderr.str().count("ERROR: web.b: ") == 1
        result.assert_outcomes()
        assert not (project.path / "diary.txt").exists()
        assert not (project.path / "reports" / "manifest.json").exists()
    assert not list(journal.directory().glob("*"))


def test_without_builds_everything_is_left_to_xdist(project: Project) -> None:
    project.pytester.makepyfile(test_x="def test_x(): pass")
    result = project.run("-n", "2", "--dist", "loadscope")
    assert result.ret == 0
    assert "scheduling tests via LoadScopeScheduling" in result.stdout.str()
    assert not (project.path / "reports").exists()


def test_a_build_that_the_controller_cannot_see_is_told(project: Project) -> None:
    project.write("make = harness.build\n@make(FakeSource())\ndef web(machine): pass\n")
    result = project.run("-n", "2")
    assert result.ret != 0
    assert "pytest-xdist does not know that" in result.stdout.str()
