"""Checks that builds share: whose they are, and that nothing is mixed up."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.project import Project

BUILD = """
@harness.build(FakeSource(diary=DIARY, answers={answers}), tests=["checks/base.py"])
def {name}(machine): pass

def test_own({name}): pass
"""

CHECKS = """
import pytest

@pytest.fixture(scope="module")
def answer(host):
    return host.run("the question").stdout

def test_answer(answer):
    assert answer == "42"

class TestGroup:
    def test_without_host(self): pass

@pytest.mark.parametrize("name", ["a", "b"])
def test_each(host, name):
    assert host.run("is %s there", name).succeeded
"""

RIGHT, WRONG = '{"the question": (0, "42", "")}', '{"the question": (0, "41", "")}'


def shared_tests(build: str) -> list[str]:
    tests = ["test_answer[fake]", "TestGroup::test_without_host[fake]"]
    tests += ["test_each[fake-a]", "test_each[fake-b]"]
    return [f"{build}::checks/base::{test}" for test in tests]


def items(build: str) -> list[str]:
    return [
        f"{build}::provision[fake]",
        *shared_tests(build),
        "test_own[fake]",
        f"{build}::image[fake]",
    ]


@pytest.fixture
def two_builds(project: Project) -> Project:
    """web, whose check fails, and plain, whose checks pass; both share builds/checks/base.py."""
    for name, answers in (("web", WRONG), ("plain", RIGHT)):
        write(project, f"builds/test_{name}", BUILD.format(name=name, answers=answers))
    write_plain(project, "builds/checks/base.py", CHECKS)
    return project


def write(project: Project, name: str, source: str) -> None:
    (project.path / name).parent.mkdir(parents=True, exist_ok=True)
    project.write(source, name)


def write_plain(project: Project, name: str, source: str) -> None:
    path = project.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)


def collected(project: Project, *arguments: str) -> list[str]:
    lines = project.pytester.runpytest_subprocess("--collect-only", "-q", *arguments).outlines
    return [line for line in lines if "::" in line]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["builds/test_web.py"], items("web")),
        (["builds/test_web.py::web"], items("web")),
        (["-k", "web"], items("web")),
        (["builds", "-k", "web.fake and base"], shared_tests("web")),
        (["-k", "checks/base and plain"], shared_tests("plain")),
        (["builds/test_web.py::web::checks/base"], shared_tests("web")),
        (["builds/test_web.py::web::checks/base::TestGroup"], shared_tests("web")[1:2]),
        (["builds/test_web.py::web::checks/base::test_each"], shared_tests("web")[2:]),
        (["builds/test_web.py::web::checks/base::test_each[fake-b]"], shared_tests("web")[3:]),
        (["builds/test_web.py::web::image"], items("web")[-1:]),
        (["builds/test_web.py::test_own"], items("web")[-2:-1]),
    ],
)
def test_node_ids(two_builds: Project, arguments: list[str], expected: list[str]) -> None:
    found = [line.partition("::")[2] for line in collected(two_builds, *arguments)]
    assert found == expected


def test_one_builds_checks_are_not_anothers(two_builds: Project) -> None:
    result = two_builds.run("builds")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "builds/test_web.py::web::checks/base::test_answer[[]fake[]] FAILED *",
            "*___ test_answer[[]fake[]] of web.fake ___*",
            "E * AssertionError: assert '41' == '42'",  # rewritten, as in any test module
            "plain.fake  image-of-*",
            "web.fake  no image: 1 of 5 tests failed (web::checks/base::test_answer[[]fake[]]): *",
        ]
    )
    manifest = two_builds.manifest()
    for name in ("web", "plain"):
        ids = [test["id"] for test in manifest[f"{name}.fake"]["tests"]]
        assert sorted(ids) == sorted(f"builds/test_{name}.py::{t}" for t in items(name)[1:-1])
    cases = [
        (case.get("classname"), case.get("name"), case.find("failure") is not None)
        for case in ET.parse(two_builds.path / "reports/junit.xml").iter("testcase")
        if case.get("name") == "test_answer[fake]"
    ]
    assert sorted(cases) == [
        ("builds.test_plain.plain.checks/base", "test_answer[fake]", False),
        ("builds.test_web.web.checks/base", "test_answer[fake]", True),
    ]
    assert two_builds.outcomes("builds", "--lf") == {
        "web::checks/base::test_answer[fake]": "FAILED",
        "web::image[fake]": "FAILED",
    }


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-k", "plain and not test_answer"], "1 of 5 tests not run (plain::checks/base::"),
        (["builds/test_plain.py::test_own"], "image[[]fake[]] was not selected"),
        (["builds/test_plain.py::plain::checks/base"], "image[[]fake[]] was not selected"),
        (
            ["builds/test_plain.py::test_own", "builds/test_plain.py::plain::image"],
            "4 of 5 tests not run (plain::checks/base::",
        ),
    ],
)
def test_a_shared_check_that_is_left_out_is_no_pass(
    two_builds: Project, arguments: list[str], reason: str
) -> None:
    two_builds.run(*arguments).stdout.fnmatch_lines([f"plain.fake  no image: {reason}*"])


def test_each_source_is_checked_on_its_own(project: Project) -> None:
    write(
        project,
        "builds/test_web",
        f"""
SOURCES = [FakeSource(name="a", answers={RIGHT}), FakeSource(name="b", answers={WRONG})]
@harness.build(*SOURCES, tests=["checks/base.py", "./checks/base.py"])
def web(machine): pass
""",
    )
    write_plain(project, "builds/checks/base.py", CHECKS)
    outcomes = project.outcomes("builds")
    assert len(outcomes) == 12
    assert [nodeid for nodeid, outcome in outcomes.items() if outcome == "FAILED"] == [
        "web::checks/base::test_answer[b]",
        "web::image[b]",
    ]


def test_their_fixtures_end_before_the_image(project: Project) -> None:
    write(project, "builds/test_web", BUILD.format(name="web", answers="{}"))
    write_plain(
        project,
        "builds/checks/base.py",
        """
import pathlib, pytest

def note(line):
    with (pathlib.Path(__file__).parents[1] / "diary.txt").open("a") as file:
        file.write(line + "\\n")

def setup_module(module): note("module begins")
def teardown_module(module): note("module ends")

@pytest.fixture(scope="module")
def data(host):
    note("put data")
    yield
    note("remove data")

def test_data(data): pass
""",
    )
    assert project.run("builds").ret == 0
    diary = (project.path / "builds/diary.txt").read_text().splitlines()
    order = ["module begins", "put data", "remove data", "module ends", "web.fake seal"]
    assert [line for line in diary if line in order] == order


# A suite as people have it: folders, conftest.py files, hosts of its own.
SUITE = {
    "conftest.py": """
import pytest

@pytest.fixture(scope="session")
def expected():
    return {"kernel": "Linux"}

@pytest.fixture(scope="module")
def kernel(host):
    return host.check_output("uname -s")

@pytest.fixture(autouse=True)
def reached(host):
    assert host.backend.get_connection_type() == "harness"
""",
    "test_kernel.py": """
import testinfra

testinfra_hosts = ["ansible://all?force_ansible=True", "ssh://db1"]

def test_kernel(host, kernel, expected):
    assert isinstance(host, testinfra.host.Host)
    assert kernel == expected["kernel"]
""",
    "deep/conftest.py": "import pytest\n\n@pytest.fixture\ndef depth(): return 2\n",
    "deep/test_more.py": """
import pytest

pytestmark = pytest.mark.usefixtures("depth")

@pytest.mark.parametrize(("command", "status"), [("true", 0), ("false", 1)])
def test_status(host, depth, command, status):
    assert depth == 2
    assert host.run(command).rc == status

class TestUname:
    @pytest.fixture
    def name(self, host): return host.run("uname -s").stdout

    def test_name(self, name): assert name == "Linux"
""",
    "deep/helper.py": "raise AssertionError('no test module')",
}


@pytest.mark.parametrize(
    ("where", "named"), [("builds/suite", "suite"), ("infra/suite", "../infra/suite/")]
)
def test_an_existing_suite_runs_unmodified(project: Project, where: str, named: str) -> None:
    answers = '{"uname": (0, "Linux", ""), "false": (1, "", "")}'
    for name in ("plain", "web"):
        source = BUILD.format(name=name, answers=answers).replace("checks/base.py", named)
        write(project, f"builds/test_{name}", source)
    for name, source in SUITE.items():
        write_plain(project, f"{where}/{name}", source)
    outcomes = project.outcomes("builds")
    assert set(outcomes.values()) == {"PASSED"}, outcomes
    below = f"web::{named.rstrip('/')}"
    assert [nodeid for nodeid in outcomes if nodeid.startswith("web::")] == [
        "web::provision[fake]",
        f"{below}/deep/test_more::test_status[fake-true-0]",
        f"{below}/deep/test_more::test_status[fake-false-1]",
        f"{below}/deep/test_more::TestUname::test_name[fake]",
        f"{below}/test_kernel::test_kernel[fake]",
        "web::image[fake]",
    ]


@pytest.mark.parametrize(
    ("checks", "sentence"),
    [
        ({}, "has 'checks/base.py' in its tests=: */builds/checks/base.py is no file"),
        (
            {"base.py": "import pytest\n@pytest.fixture\ndef host(): ...\ndef test_x(host): ..."},
            "but test_x cannot take it: the module, its conftest.py",
        ),
        (
            {
                "base.py": "def test_x(host): ...",
                "conftest.py": "import pytest\n@pytest.fixture\ndef host(host): return host",
            },
            "but test_x* cannot take it: the module, its conftest.py",
        ),
        (
            {"base.py": "import unittest\nclass T(unittest.TestCase):\n  def test_x(self): ..."},
            "but test_x cannot take it: *unittest.TestCase",
        ),
        (
            {
                "base.py": "import pytest\n@pytest.mark.parametrize('host', [1])\n"
                "def test_x(host): ..."
            },
            "but test_x* cannot take it: *a parametrize mark",
        ),
        ({"base.py": "import no_such_module"}, "*No module named 'no_such_module'"),
        (
            {"base.py": "def test_x(host): ...", "conftest.py": "import no_such_module"},
            "*No module named 'no_such_module'",
        ),
    ],
)
def test_mistakes(project: Project, checks: dict[str, str], sentence: str) -> None:
    write(project, "builds/test_web", BUILD.format(name="web", answers="{}"))
    for name, source in checks.items():
        write_plain(project, f"builds/checks/{name}", source)
    result = project.run("builds")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*{sentence}*"])
    assert not (project.path / "builds/diary.txt").exists()


def test_a_folder_without_test_modules(project: Project) -> None:
    source = BUILD.format(name="web", answers="{}").replace("checks/base.py", "checks")
    write(project, "builds/test_web", source)
    write_plain(project, "builds/checks/base.py", CHECKS)
    project.run("builds").stdout.fnmatch_lines(["*/builds/checks is a folder without test modules"])


# A host that is no build's machine

BARE = "def test_bare(host): assert host.run('true').succeeded\n"


def test_a_bare_host_beside_builds_is_refused(project: Project) -> None:
    source = "@harness.build(FakeSource())\ndef web(machine): pass\n"
    write(project, "builds/test_web", f"{source}def test_own(web): pass\n{BARE}")
    result = project.run("builds/test_web.py::web")
    assert result.ret != 0
    result.stdout.fnmatch_lines(
        [
            "builds/test_web.py::test_bare takes `host`, which would be this computer: "
            "take the build's fixture instead (web)"
        ]
    )


@pytest.mark.parametrize("arguments", [["builds"], ["builds/sub/test_infra.py"], ["."]])
def test_a_bare_host_below_builds_is_refused(project: Project, arguments: list[str]) -> None:
    source = "@harness.build(FakeSource())\ndef web(machine): pass\ndef test_own(web): pass\n"
    write(project, "builds/test_web", source)
    write_plain(project, "builds/sub/test_infra.py", BARE)
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: builds/sub/test_infra.py::test_bare takes `host`, *name the file in the tests=*"]
    )
    assert "PASSED" not in result.stdout.str()


def test_a_shared_module_that_is_named_alone_has_no_machine(two_builds: Project) -> None:
    result = two_builds.run("builds/checks/base.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: builds/checks/base.py::test_answer takes `host`*"])


def test_a_suite_that_has_nothing_to_do_with_builds_is_left_alone(project: Project) -> None:
    source = "@harness.build(FakeSource())\ndef web(machine): pass\ndef test_own(web): pass\n"
    write(project, "builds/test_web", source)
    write_plain(project, "infra/test_infra.py", BARE)
    assert project.outcomes(".") == {
        "test_bare[local]": "PASSED",
        "web::provision[fake]": "PASSED",
        "test_own[fake]": "PASSED",
        "web::image[fake]": "PASSED",
    }
    # And whoever names hosts means them, wherever the file lies.
    write_plain(project, "builds/sub/test_sub.py", BARE)
    named = project.run("builds/sub", "--hosts=local://")
    named.assert_outcomes(passed=1)


def test_a_suite_elsewhere_may_be_shared_and_run_as_before(project: Project) -> None:
    source = BUILD.format(name="web", answers="{}").replace("checks/base.py", "../infra")
    write(project, "builds/test_web", source)
    write_plain(
        project,
        "infra/conftest.py",
        "import pytest\n\n@pytest.fixture\ndef own(host): return host\n",
    )
    write_plain(
        project, "infra/test_infra.py", "def test_own(own): assert own.run('true').rc == 0\n"
    )
    expected = {
        "web::provision[fake]",
        "web::../infra/test_infra::test_own[fake]",
        "test_own[fake]",
        "web::image[fake]",
        "test_own[local]",
    }
    for arguments in (["."], ["builds", "infra"], ["infra", "builds/test_web.py"]):
        outcomes = project.outcomes(*arguments)
        assert set(outcomes) == expected
        assert set(outcomes.values()) == {"PASSED"}


def test_a_module_that_skips_itself(
    collection_error: Callable[[str], str], project: Project
) -> None:
    (project.path / "base.py").write_text(
        "import pytest\npytest.skip('not here', allow_module_level=True)\n"
    )
    source = "@harness.build(FakeSource(), tests=['base.py'])\ndef web(machine): pass\n"
    assert (
        "base.py: the build 'web' shares it, and it skips itself as a whole (not here): mark its "
        "tests with skipif, or leave it out of tests="
    ) in collection_error(source)
