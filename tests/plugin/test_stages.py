"""Stages as items: names, order, durations, selection."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from tests.project import WEB

if TYPE_CHECKING:
    from tests.project import Project

ALL = ["web::provision[fake]", "test_one[fake]", "test_two[fake]", "web::image[fake]"]


def collected(project: Project, *arguments: str) -> list[str]:
    lines = project.pytester.runpytest_subprocess("--collect-only", "-q", *arguments).outlines
    return [line.partition("::")[2] for line in lines if "::" in line]


def test_a_build_is_its_stages_around_its_tests(project: Project) -> None:
    project.write(WEB)
    assert project.outcomes() == dict.fromkeys(ALL, "PASSED")
    assert list(project.outcomes()) == ALL


def test_collecting_lists_the_stages_and_starts_nothing(project: Project) -> None:
    project.write(WEB)
    assert collected(project) == ALL
    assert not (project.path / "diary.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["test_builds.py::web"], ALL),
        (["test_builds.py::web", "test_builds.py::test_one"], ALL),
        ([".", "test_builds.py::web"], ALL),
        (["test_builds.py::web::provision"], ALL[:1]),
        (["test_builds.py::web::provision[fake]"], ALL[:1]),
        (["test_builds.py::web::image[fake]"], ALL[3:]),
        (["test_builds.py::test_two"], ALL[2:3]),
        (["test_builds.py::web::image[fake]", "test_builds.py::test_one"], [ALL[1], ALL[3]]),
        (["-k", "web"], ALL),
        (["-k", "web.fake"], ALL),
        (["-k", "image"], ALL[3:]),
        (["-k", "test_one"], ALL[1:2]),
        (["-k", "not test_one"], [ALL[0], ALL[2], ALL[3]]),
        (["--deselect", "test_builds.py::test_one"], [ALL[0], ALL[2], ALL[3]]),
    ],
)
def test_selection(project: Project, arguments: list[str], expected: list[str]) -> None:
    project.write(WEB)
    assert collected(project, *arguments) == expected


@pytest.mark.parametrize("option", ["--setup-plan", "--setup-only"])
def test_showing_the_setup_starts_nothing(project: Project, option: str) -> None:
    project.write(WEB)
    result = project.run(option)
    assert result.ret == 0
    for line in ("*web::provision*", "*SETUP*M web*", "*test_one*", "*web::image*"):
        result.stdout.fnmatch_lines([line])
    assert not (project.path / "diary.txt").exists()


def test_a_builds_items_stay_together_whatever_order_the_file_has(project: Project) -> None:
    project.write(
        """
def test_plain(): pass

@harness.build(FakeSource(name="a"), FakeSource(name="b"))
def web(machine): pass

class TestGroup:
    def test_in_class(self, web): pass

def test_between(): pass
def test_last(web): pass
"""
    )
    expected = ["test_plain", "test_between"]
    for name in "ab":
        expected += [
            f"web::provision[{name}]",
            f"TestGroup::test_in_class[{name}]",
            f"test_last[{name}]",
            f"web::image[{name}]",
        ]
    assert collected(project) == expected
    assert set(project.outcomes().values()) == {"PASSED"}


def test_stages_report_the_time_that_they_really_took(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(seconds={"boot": 0.3, "connect": 0.2, "capture": 0.4}))
def web(machine): pass

@harness.build(FakeSource(name="slow", seconds={"boot": 1.0}))
def other(machine): pass

def test_web(web): pass
def test_other(other): pass
"""
    )
    assert project.run("--junitxml=own.xml").ret == 0
    cases = {
        (c.get("classname"), c.get("name")): float(c.get("time", "0"))
        for c in ET.parse(project.path / "own.xml").iter("testcase")
    }
    assert cases["test_builds.web", "provision[fake]"] >= 0.5
    assert cases["test_builds.web", "image[fake]"] >= 0.4
    assert cases["test_builds.other", "provision[slow]"] >= 1.0
    assert not (project.path / "reports" / "junit.xml").exists()


def test_fixtures_that_depend_on_the_machine_end_before_the_image(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(name="a", diary=DIARY), FakeSource(name="b", diary=DIARY))
def web(machine): pass

@pytest.fixture(scope="module")
def data(web):
    note("put data")
    yield
    note("remove data")

@pytest.fixture(scope="session")
def session_wide():
    note("session begins")
    yield
    note("session ends")

def test_data(data, session_wide): pass
"""
    )
    assert project.run().ret == 0
    diary = project.diary()
    assert diary.count("session begins") == diary.count("session ends") == 1
    assert diary[-1] == "session ends"
    removals = [i for i, line in enumerate(diary) if line == "remove data"]
    seals = [i for i, line in enumerate(diary) if line.endswith(" seal")]
    assert len(removals) == len(seals) == 2
    assert all(removed < seal for removed, seal in zip(removals, seals, strict=True))


def test_debugging_a_provisioning_failure_finds_the_machine_alive(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(diary=DIARY))
def web(machine):
    secret_of_the_frame = 42
    assert secret_of_the_frame == 0

def test_one(web): pass
"""
    )
    project.pytester.makeconftest(
        """
import pathlib
def pytest_exception_interact(node, call, report):
    if "provision" in node.name:
        diary = (pathlib.Path(__file__).parent / "diary.txt").read_text()
        print("DESTROYED" if "destroy" in diary else "ALIVE")
"""
    )
    result = project.pytester.run(
        "sh",
        "-c",
        'printf "p secret_of_the_frame\\nc\\n" | "$0" -m pytest --pdb -s test_builds.py',
        sys.executable,
    )
    result.stdout.fnmatch_lines(["*ALIVE*", "*42*"])
    assert project.diary()[-1] == "web.fake destroy"


def test_a_session_without_builds_is_left_alone(project: Project) -> None:
    project.pytester.makepyfile("def test_plain(): pass")
    result = project.run()
    assert result.ret == 0
    assert "images" not in result.stdout.str()
    assert not (project.path / "reports").exists()
    assert not (project.path / "state").exists()


def test_the_manifest_and_the_summary_say_where_the_time_went(project: Project) -> None:
    project.write(
        """
SECONDS = {"base": 0.4, "save": 0.3, "boot": 0.2, "connect": 0.1, "capture": 0.15}

@harness.build(FakeSource(seconds=SECONDS))
def web(machine):
    machine.shell("apt-get update", "apt-get install nginx", sudo=True)
    machine.write("a secret", "/etc/key")
    machine.put(".", "/srv")
    machine.run("echo " + 100 * "long ")
    time.sleep(0.2)

def test_a(web):
    time.sleep(0.3)
"""
    )
    result = project.run()
    entry = project.manifest()["web.fake"]
    stages = entry["stages"]
    names = "base save boot connect provision test seal capture publish destroy"
    assert list(stages) == names.split()
    assert stages["base"] >= 0.4
    assert stages["save"] >= 0.3
    assert stages["boot"] >= 0.2
    assert stages["provision"] >= 0.2
    assert stages["test"] >= 0.3
    result.stdout.fnmatch_lines(
        ["web.fake  base 0.* s, save 0.* s, boot 0.* s, connect 0.* s, provision *, capture 0.* s*"]
    )
    calls = [call["call"] for call in entry["calls"]]
    assert calls[:3] == ["shell apt-get update", "write /etc/key", "put ."]
    assert calls[3].startswith("run echo long long")
    assert len(calls[3]) == 60
    assert len(calls) == 4, "what the seal does is no call of the author's"


def test_a_call_that_fails_is_timed_too(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(answers={"frobnicate": (1, "", "")}))
def web(machine):
    machine.shell("frobnicate")

def test_a(web): pass
"""
    )
    project.run()
    entry = project.manifest()["web.fake"]
    assert [call["call"] for call in entry["calls"]] == ["shell frobnicate"]
    assert entry["calls"][0]["seconds"] >= 0
