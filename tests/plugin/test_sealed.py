"""Tests of the sealed machine: when they run, what they count, and what a build may choose."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.project import Project

WEB = """
@harness.build(FakeSource(diary=DIARY{source}), seal={seal})
def web(machine): pass

@harness.sealed
def test_sealed(web):
    note("test sealed")
    {sealed}

@pytest.fixture(scope="module")
def data(web):
    note("put data")
    yield
    note("remove data")

def test_plain(web, data):
    note("test plain")
    {plain}

@pytest.mark.sealed
class TestMore:
    def test_more(self, data): note("test more")
"""
ALL = [
    "web::provision[fake]",
    "test_plain[fake]",
    "test_sealed[fake]",
    "TestMore::test_more[fake]",
    "web::image[fake]",
]


def write(
    project: Project,
    *,
    source: str = "",
    seal: str = "True",
    plain: str = "pass",
    sealed: str = "pass",
) -> None:
    project.write(WEB.format(source=source, seal=seal, plain=plain, sealed=sealed))


def happened(project: Project) -> list[str]:
    return [line.removeprefix("web.fake ") for line in project.diary()]


def reason(project: Project) -> str:
    said = project.manifest()["web.fake"]["reason"]
    assert isinstance(said, str)
    return said


def test_the_machine_is_sealed_between_the_tests(project: Project) -> None:
    write(project)
    outcomes = project.outcomes()
    assert outcomes == dict.fromkeys(ALL, "PASSED")
    assert list(outcomes) == ALL
    assert happened(project) == [
        *("boot", "connect"),
        *("put data", "test plain", "remove data"),
        "seal",
        *("test sealed", "put data", "test more", "remove data"),
        *("stop", "capture", "publish", "hung up", "destroy"),
    ]
    entry = project.manifest()["web.fake"]
    stages = "boot connect provision seal test capture publish destroy"
    assert list(entry["stages"]) == stages.split()
    assert len(entry["tests"]) == 3


@pytest.mark.parametrize(
    ("arguments", "expected", "why_no_image"),
    [
        (["test_builds.py::web"], ALL, ""),
        (["-k", "test_sealed"], ALL[2:3], "image[fake] was not selected"),
        (["test_builds.py::test_sealed"], ALL[2:3], "image[fake] was not selected"),
        (["-m", "not sealed"], [ALL[0], ALL[1], ALL[4]], "2 of 3 tests not run"),
        (["-k", "not test_plain"], [ALL[0], *ALL[2:]], "1 of 3 tests not run (test_plain["),
    ],
)
def test_selection(
    project: Project, arguments: list[str], expected: list[str], why_no_image: str
) -> None:
    write(project)
    outcomes = project.outcomes(*arguments)
    assert list(outcomes) == expected
    assert ("seal" in happened(project)) == ("test_sealed[fake]" in expected or not why_no_image)
    assert reason(project).startswith(why_no_image)
    assert bool(why_no_image) == (project.manifest()["web.fake"]["image"] is None)


def test_collecting_lists_them_behind_the_others(project: Project) -> None:
    write(project)
    lines = project.pytester.runpytest_subprocess("--collect-only", "-q").outlines
    assert [line.partition("::")[2] for line in lines if "::" in line] == ALL
    assert not (project.path / "diary.txt").exists()


def test_a_failure_on_the_sealed_machine_takes_no_image(project: Project) -> None:
    write(project, sealed="assert pathlib.Path('fixed').exists()")
    assert project.run().ret == 1
    assert reason(project) == "1 of 3 tests failed (test_sealed[fake]): no image was taken"
    assert "stop" not in happened(project)
    (project.path / "fixed").touch()
    assert project.outcomes("--lf") == {ALL[2]: "PASSED", ALL[4]: "FAILED"}
    assert reason(project).startswith("2 of 3 tests not run (")
    assert project.run().ret == 0


def test_a_failure_before_the_seal_is_not_the_last_word(project: Project) -> None:
    write(project, plain="assert False")
    assert [o for o in project.outcomes().values() if o != "PASSED"] == ["FAILED", "FAILED"]
    assert "test sealed" in happened(project)
    assert reason(project) == "1 of 3 tests failed (test_plain[fake]): no image was taken"


@pytest.mark.parametrize("which", ["plain", "sealed"])
def test_exit_first(project: Project, which: str) -> None:
    write(project, **{which: "assert False"})
    assert project.run("-x").ret == 1
    assert "test more" not in project.diary()
    assert ("seal" in happened(project)) == (which == "sealed")
    assert happened(project)[-1] == "destroy"
    tests = {
        t["id"].partition("::")[2]: t["outcome"] for t in project.manifest()["web.fake"]["tests"]
    }
    assert tests[f"test_{which}[fake]"] == "failed"


def test_a_seal_that_fails_shows_once(project: Project) -> None:
    write(project, source=', answers={"# seal: logs": (1, "", "read-only file system")}')
    result = project.run()
    assert result.ret == 1
    assert result.stdout.str().count("  read-only file system\n") == 1
    result.stdout.fnmatch_lines(["not run: web.fake was not sealed", "web.fake: seal failed"])
    assert "test sealed" not in project.diary()
    assert reason(project).endswith("): no image was taken")
    assert happened(project)[-1] == "destroy"


@pytest.mark.parametrize("selected", ["test_sealed", "image or test_plain or test_more"])
def test_debugging_a_failed_seal_finds_the_machine_alive(project: Project, selected: str) -> None:
    write(project, source=', fails={"seal": "no such luck"}')
    project.pytester.makeconftest(
        """
import pathlib
def pytest_exception_interact(node, call, report):
    diary = (pathlib.Path(__file__).parent / "diary.txt").read_text()
    print("DESTROYED" if "destroy" in diary else "ALIVE")
"""
    )
    result = project.pytester.run(
        *("sh", "-c", 'yes c | "$0" -m pytest --pdb -s -k "$1" test_builds.py'),
        *(sys.executable, selected),
    )
    result.stdout.fnmatch_lines(["*ALIVE*"])
    assert happened(project)[-1] == "destroy"


def test_a_build_chooses_steps_and_adds_its_own(project: Project) -> None:
    write(project, seal='harness.Seal(keep=["logs", "free blocks"], also=["rm -f /etc/agent/id"])')
    assert project.run().ret == 0
    log = (project.path / "reports/web.fake/build.log").read_text()
    assert "\nrm -f /etc/agent/id\necho '# seal: random seed'\n" in log
    assert "\necho '# seal: temporary key'\n" in log
    assert "'# seal: machine id'\n" in log
    assert "'# seal: logs'\n" not in log
    assert "AAAAfake" in log


SHARED = """
@harness.build(FakeSource(diary=DIARY), tests=["checks.py"], seal={seal})
def web(machine): pass
def test_plain(web): pass
"""


def test_checks_that_builds_share_may_be_of_the_sealed_machine(project: Project) -> None:
    project.pytester.makepyfile(
        checks="import harness\n\n@harness.sealed\ndef test_sealed(host): pass\n"
        "def test_x(host): pass"
    )
    project.write(SHARED.format(seal="True"))
    assert list(project.outcomes()) == [
        "web::provision[fake]",
        "web::checks::test_x[fake]",
        "test_plain[fake]",
        "web::checks::test_sealed[fake]",
        "web::image[fake]",
    ]
    project.write(SHARED.format(seal="False"))
    assert "the build 'web' has seal=False" in project.run().stdout.str()


def test_nothing_is_sealed_where_the_build_says_so(project: Project) -> None:
    project.write(
        "@harness.build(FakeSource(diary=DIARY), seal=False)\ndef web(machine): pass\n"
        "def test_plain(web): pass\n"
    )
    assert project.run().ret == 0
    assert "seal" not in happened(project)
    assert "capture" in happened(project)


@pytest.mark.parametrize(
    ("seal", "sentence"),
    [
        (
            'harness.Seal(keep=["log"])',
            "the build 'web' has a seal with keep='log', which is no step: choose from "
            "temporary key, temporary files, host keys",
        ),
        ('harness.Seal(keep="logs")', "keep='logs' is one text: write a list, keep=['logs']"),
        ('harness.Seal(also="true")', "also='true' is one text: write a list, also=['true']"),
        ('("logs",)', "seal=('logs',): write harness.Seal(keep=[...], also=[...]), True or False"),
        ("False", "test_sealed[fake] is marked sealed, and the build 'web' has seal=False"),
    ],
)
def test_mistakes(collection_error: Callable[[str], str], seal: str, sentence: str) -> None:
    printed = collection_error(WEB.format(source="", seal=seal, plain="pass", sealed="pass"))
    assert sentence in " ".join(printed.split())
    assert "harness/plugin" not in printed
