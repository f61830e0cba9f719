"""`harness validate` and `harness inspect`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
@harness.build(
    FakeSource(diary=DIARY),
    FakeSource(name="other", seconds={"boot": 1.5}),
    tests=["checks.py"],
)
def web(machine):
    '''A web server.

    It answers on port 80.
    '''
    note("provisioned")

def test_one(web): note("tested")

@harness.only("other")
def test_two(web): pass

@web.after_image
def publish(image): note("published")

web.after_image(harness.post_processors.Checksum())
"""
QEMU = """
@harness.build({sources})
def vm(machine): pass

def test_vm(vm): pass
"""


@pytest.fixture(autouse=True)
def checks(project: Project) -> None:
    (project.path / "checks.py").write_text("def test_shared(host): pass\n")


def harness(project: Project, *arguments: str) -> pytest.RunResult:
    code = "import sys; from harness.cli import main; sys.exit(main())"
    return project.pytester.run(sys.executable, "-c", code, *arguments)


def document(project: Project, *arguments: str) -> dict[str, Any]:
    text = harness(project, *arguments, "--json").stdout.str()
    found: dict[str, Any] = json.loads(text)
    return found


def test_what_is_right_is_one_line_and_creates_nothing(project: Project) -> None:
    project.write(BUILDS)
    result = harness(project, "validate")
    assert result.ret == 0
    assert result.outlines == ["valid: web.fake, web.other"]
    assert not result.errlines
    made = {path.name for path in project.path.iterdir()} - {"stdout", "stderr"}  # pytester's
    assert made == {"checks.py", "test_builds.py", "__pycache__"}


def test_all_problems_are_told_at_once(project: Project) -> None:
    project.write(BUILDS)
    project.write("@harness.build()\ndef none(machine): pass", "test_no_source")
    project.write("import nothing_of_that_name", "test_import")
    bad = [f'harness.Qemu(name="{n}", image_name="{n}/{{timestamp}}")' for n in "ab"]
    project.write(QEMU.format(sources=", ".join(bad)), "test_qemu")
    result = harness(project, "validate")
    assert result.ret == 1
    text = result.stdout.str()
    for sentence in (
        "test_no_source.py: the build 'none' has 'no source' where a source belongs",
        "No module named 'nothing_of_that_name'",
        "vm.a: image_name='a/{timestamp}' makes the name",
        "vm.b: image_name='b/{timestamp}' makes the name",
    ):
        assert text.count(sentence) == 1
    assert "valid:" not in text
    assert document(project, "validate")["valid"] is False


def test_problems_are_those_of_a_run(project: Project) -> None:
    project.write(QEMU.format(sources='harness.Qemu(disk_interface="floppy")'))
    (problem,) = document(project, "validate")["problems"]
    assert problem.startswith("vm.qemu: disk_interface='floppy'")
    run = project.run()
    assert run.ret == 4
    assert problem in run.stderr.str()


@pytest.mark.parametrize(
    ("arguments", "builds"),
    [
        (["--only", "other"], ["web.other"]),
        (["--except=other", "."], ["web.fake"]),
        (["test_builds.py", "-k", "fake"], ["web.fake"]),
        (["test_builds.py::web"], ["web.fake", "web.other"]),
        (["-n", "2"], ["web.fake", "web.other"]),
    ],
)
def test_pytests_options_choose(project: Project, arguments: list[str], builds: list[str]) -> None:
    project.write(BUILDS)
    assert document(project, "validate", *arguments) == {
        "valid": True,
        "builds": builds,
        "problems": [],
        "warnings": [],
    }
    assert [b["build"] for b in document(project, "inspect", *arguments)["builds"]] == builds
    assert not (project.path / "reports").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--only=nothing"], "--only=nothing: there is no such build"),
        (["nowhere"], "file or directory not found: nowhere"),
        (["test_plain.py"], "test_plain.py: no build is there, or none was selected"),
        (["-k", "nothing"], "no build is there, or none was selected"),
        (["--attach", "web.fake"], "--attach=web.fake: no machine of that build was kept here"),
    ],
)
@pytest.mark.parametrize("verb", ["validate", "inspect"])
def test_a_selection_of_nothing_is_no_success(
    project: Project, verb: str, arguments: list[str], problem: str
) -> None:
    project.write(BUILDS)
    project.write("def test_plain(): pass", "test_plain")
    result = harness(project, verb, *arguments)
    assert result.ret == 1
    said = result.stdout if verb == "validate" else result.stderr
    said.fnmatch_lines([f"*{problem}*"])


def test_an_unknown_option_is_refused(project: Project) -> None:
    project.write(BUILDS)
    result = harness(project, "validate", "--onyl", "web")
    assert result.ret == 2
    assert "unrecognized arguments: --onyl" in result.stderr.str()
    result = harness(project, "gc", "--what")
    assert result.ret == 2
    assert "unrecognized arguments: --what" in result.stderr.str()


def test_by_default_the_folder_builds_is_examined(project: Project) -> None:
    project.pytester.makeini("[pytest]\ntestpaths = elsewhere\n")
    project.pytester.mkdir("elsewhere")
    project.pytester.mkdir("builds")
    project.write(BUILDS)
    (project.path / "test_builds.py").rename(project.path / "builds" / "test_mine.py")
    (project.path / "checks.py").rename(project.path / "builds" / "checks.py")
    project.write("import nothing_of_that_name", "test_not_examined")
    result = harness(project, "validate", "--only", "web.fake")
    assert result.outlines == ["valid: web.fake"]


def test_inspect_shows_what_there_is(project: Project) -> None:
    project.write(BUILDS)
    result = harness(project, "inspect")
    assert result.ret == 0
    line = BUILDS.count("\n", 0, BUILDS.index("@harness"))
    assert result.outlines[:12] == [
        "web.fake",
        "  A web server.",
        "",
        "  It answers on port 80.",
        "  source: fake",
        f"  provisioned by: test_builds.py:{line + 15}",
        "  tests: 2",
        "    test_builds.py::test_one[fake]",
        "    test_builds.py::web::checks::test_shared[fake]",
        "  after image: publish, checksum",
        "web.other",
        "  A web server.",
    ]
    assert "  source: fake (seconds={'boot': 1.5})" in result.outlines
    assert not (project.path / "diary.txt").exists()


def test_inspect_as_json(project: Project) -> None:
    project.write(BUILDS)
    found = document(project, "inspect", "--only", "other")
    (build,) = found["builds"]
    assert found["problems"] == []
    assert build["source"] == {
        "type": "fake",
        "name": "other",
        "options": {"seconds": {"boot": 1.5}},
    }
    assert build["tests"] == [
        "test_builds.py::test_one[other]",
        "test_builds.py::test_two[other]",
        "test_builds.py::web::checks::test_shared[other]",
    ]
    assert build["after_image"] == ["publish", "checksum"]
    assert build["description"].startswith("A web server.\n")


VARIABLES = """
region = harness.var("region", description="where it goes")
key = harness.var("key", default="correct horse", sensitive=True)

@harness.build(FakeSource(prints=region))
def web(machine): pass

def test_one(web): pass
"""


def test_a_variable_without_a_value_is_a_problem_until_it_has_one(project: Project) -> None:
    project.write(VARIABLES)
    (problem,) = document(project, "validate")["problems"]
    assert problem.startswith("the variable 'region' (where it goes) has no value, and web.fake")
    assert harness(project, "validate", "--var", "region=here").ret == 0
    (project.path / "vars.json").write_text('{"region": "here", "regoin": "there"}')
    result = harness(project, "validate", "--var-file=vars.json")
    assert result.ret == 0
    assert result.outlines == ["valid: web.fake"]
    warning = "warning: --var-file vars.json has 'regoin', which is no variable*'region'[?]"
    result.stderr.fnmatch_lines([f"harness: {warning}"])
    assert len(document(project, "validate", "--var-file=vars.json")["warnings"]) == 1


def test_inspect_needs_no_values_and_shows_no_secret(project: Project) -> None:
    project.write(VARIABLES)
    result = harness(project, "inspect")
    assert result.ret == 0
    assert "  variables: key (sensitive), region (required)" in result.outlines
    assert (
        "correct horse"
        not in result.stdout.str() + harness(project, "inspect", "--json").stdout.str()
    )


def test_inspect_shows_what_can_be_collected_beside_what_cannot(project: Project) -> None:
    project.write(BUILDS)
    project.write("@harness.build()\ndef none(machine): pass", "test_no_source")
    result = harness(project, "inspect")
    assert result.ret == 1
    assert "web.fake" in result.outlines
    assert "has 'no source' where a source belongs" in result.stderr.str()


def test_secrets_are_not_shown(project: Project) -> None:
    sources = 'harness.Qemu(ssh_password=harness.Secret("correct horse"), disk_interface="x")'
    project.write(QEMU.format(sources=sources))
    for verb in ("validate", "inspect"):
        result = harness(project, verb)
        assert "correct horse" not in result.stdout.str() + result.stderr.str()


def test_warnings_as_errors_and_a_report_by_default_change_nothing(project: Project) -> None:
    project.pytester.makeini(
        "[pytest]\nfilterwarnings = error\naddopts = --junitxml=mine.xml -ra --lf\n"
    )
    project.write(BUILDS)
    assert harness(project, "validate").outlines == ["valid: web.fake, web.other"]
    assert not (project.path / "mine.xml").exists()
    assert not (project.path / ".pytest_cache").exists()


def test_a_template_by_itself(project: Project) -> None:
    template = {
        "description": "A web server.",
        "variables": {"who": None},
        "builders": [{"type": "fake", "ssh_username": "{{user `who`}}"}, {"type": "hyperv-iso"}],
        "provisioners": [{"type": "shell", "inline": ["true"]}],
    }
    (project.path / "build-web.json").write_text(json.dumps(template))
    wrong = harness(project, "validate", "build-web.json", "--var", "who=me")
    assert wrong.ret == 1
    wrong.stdout.fnmatch_lines(
        ["build-web.json:1:*: there is no builder of the type 'hyperv-iso'*"]
    )
    right = ("validate", "build-web.json", "--var", "who=me", "--except", "hyperv-iso")
    assert harness(project, *right).outlines == ["valid: build_web.fake"]
    assert (
        harness(project, "validate", "build-web.json", "--only", "fake")
        .outlines[0]
        .startswith("the variable 'who' has no value")
    )
    shown = document(project, "inspect", "--json", "build-web.json", "--only", "fake")["builds"][0]
    assert (shown["build"], shown["file"]) == ("build_web.fake", "build-web.json")
    assert shown["variables"] == [{"name": "who", "required": True}]
    assert (shown["provisioners"], shown["description"]) == (["shell"], "A web server.")
    text = harness(project, "inspect", "build-web.json", "--only", "fake")
    text.stdout.fnmatch_lines(
        ["  provisioned by: build-web.json:1", "    shell", "  variables: who (required)"]
    )


def test_a_broken_template_shows_where(project: Project) -> None:
    (project.path / "build.json").write_text('{"builders": [{"type": "fake"}],\n "oops": 1}')
    result = harness(project, "validate", "build.json")
    assert result.ret == 1
    assert result.outlines[0].startswith("build.json:2:2: a template has no 'oops'")


def test_the_value_of_an_option_is_no_template(project: Project) -> None:
    (project.path / "env.json").write_text('{"who": "me"}')
    for name in ("01-web.json", "class.json", "UP.JSON", "plain"):
        (project.path / name).write_text(
            '{"variables": {"who": null}, "builders": [{"type": "fake"}]}'
        )
    given = ("--var-file", "env.json", "01-web.json", "class.json", "UP.JSON", "plain")
    builds = ("build_01_web", "build_class", "UP", "plain")
    assert harness(project, "validate", *given).outlines == [
        f"valid: {', '.join(f'{name}.fake' for name in builds)}"
    ]


def test_a_crash_is_not_valid(project: Project) -> None:
    (project.path / "conftest.py").write_text("def pytest_collection_finish(): 1 / 0\n")
    project.write(BUILDS)
    assert harness(project, "validate").ret == 2
