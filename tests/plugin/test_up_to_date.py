"""Runs that leave out builds whose images are there (``--skip-unchanged``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import up_to_date

if TYPE_CHECKING:
    from pathlib import Path

    from tests.project import Project

BUILDS = """
from helpers import expected

@harness.build(FakeSource(diary=DIARY{option}), tests=["checks.py"])
def web(machine):
    machine.put("page", "/srv/")
    {function}

def test_a(web): assert expected()
"""


@pytest.fixture(autouse=True)
def files(project: Project) -> None:
    for name, content in {
        "page": "one",
        "helpers.py": "import more\ndef expected(): return more.VALUE\n",
        "more.py": "VALUE = True\n",
        "unrelated.py": "VALUE = 1\n",
        "conftest.py": "import pytest\n",
        "checks.py": "def test_shared(host): pass\n",
    }.items():
        (project.path / name).write_text(content)
    write(project)


def write(project: Project, function: str = "pass", option: str = "") -> None:
    project.write(BUILDS.format(function=function, option=option))


def built(project: Project, *options: str, skip: bool = True) -> bool:
    """Whether there was a machine."""
    diary: Path = project.path / "diary.txt"
    diary.unlink(missing_ok=True)
    result = project.run(*(["--skip-unchanged"] if skip else []), *options)
    assert result.ret == 0
    entry = project.manifest()["web.fake"]
    assert entry["image"] is not None
    happened = diary.exists()
    assert entry.get("up_to_date", False) is not happened
    return happened


def test_a_build_whose_inputs_are_the_same_is_left_out(project: Project) -> None:
    assert built(project)
    image = project.manifest()["web.fake"]["image"]
    result = project.run("--skip-unchanged", "-rs")
    result.assert_outcomes(skipped=4)
    assert result.ret == 0
    text = result.stdout.str()
    assert f"web.fake  up to date: {image['id']}" in text
    assert f"web.fake is up to date: {image['id']}" in text
    entry = project.manifest()["web.fake"]
    assert entry["image"] == image
    assert {test["outcome"] for test in entry["tests"]} == {"skipped"}
    # And once more, from a manifest that says only that.
    assert not built(project)
    assert built(project, skip=False)


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("page", True),
        ("helpers.py", True),
        ("more.py", True),
        ("conftest.py", True),
        ("checks.py", True),
        ("test_builds.py", True),
        ("unrelated.py", False),
        ("README", False),
    ],
)
def test_what_counts(project: Project, file: str, counts: bool) -> None:
    assert built(project)
    with (project.path / file).open("a") as opened:
        opened.write("\n")
    assert built(project) == counts


def test_options_of_the_source_count(project: Project) -> None:
    assert built(project)
    write(project, option=', seconds={"boot": 0.01}')
    assert built(project)


def test_the_calls_count_though_the_code_is_the_same(project: Project) -> None:
    write(project, "machine.shell(os.environ['PATH'] and os.environ.get('WHAT', 'one'))")
    assert built(project)
    assert not built(project)
    project.pytester._monkeypatch.setenv("WHAT", "two")
    assert built(project)


def test_a_function_that_looks_at_what_it_has_seen_before(project: Project) -> None:
    write(project, "machine.shell('a' if machine.run('x').succeeded else 'b')")
    assert built(project)
    assert not built(project)


def test_a_function_that_looks_at_what_nobody_knows(project: Project) -> None:
    write(project, "machine.shell('a' if machine.run(str(time.time_ns())).succeeded else 'b')")
    assert built(project)
    assert built(project)


@pytest.mark.parametrize(
    "call", ["machine.shell('a', cache=False)", "machine.ssh_config", "machine.connection"]
)
def test_what_is_not_told_by_its_calls_is_always_built(project: Project, call: str) -> None:
    write(project, call)
    assert built(project)
    assert built(project)


def test_an_answer_that_changed_once_does_not_matter_for_ever(project: Project) -> None:
    counting = "machine.shell('a' + machine.run('what is it').stdout)"
    for answer in ("one", "two", "three"):
        write(project, counting, option=f', answers={{"what is it": (0, "{answer}", "")}}')
        assert built(project)
        assert not built(project)


def test_what_the_decorator_is_given_counts(project: Project) -> None:
    builds = BUILDS.replace('["checks.py"]', '["checks.py"], seal=harness.Seal(also=[ALSO])')
    for also in ("true", "false"):
        project.pytester._monkeypatch.setenv("ALSO", also)
        text = builds.format(option="", function="pass")
        project.write(f"ALSO = os.environ['ALSO']\n{text}")
        assert built(project)
        assert not built(project)


def test_a_damaged_note_is_no_note(project: Project) -> None:
    assert built(project)
    for path in up_to_date.directory().glob("*.json"):
        path.write_text("{")
    assert built(project)


def test_an_image_has_its_day(project: Project) -> None:
    assert built(project)
    for path in up_to_date.directory().glob("*.json"):
        facts = json.loads(path.read_text())
        facts["at"] -= 8 * 24 * 3600
        path.write_text(json.dumps(facts))
    assert built(project)


def test_the_project_says_how_long_that_is(project: Project) -> None:
    (project.path / "pyproject.toml").write_text('[tool.harness]\nimage_max_age = "1ms"\n')
    assert built(project)
    assert built(project)


def test_the_hash_is_with_the_image(project: Project) -> None:
    assert built(project)
    (path,) = up_to_date.directory().glob("*.json")
    assert path.stat().st_mode & 0o077 == 0
    assert project.manifest()["web.fake"]["image"]["properties"]["input_hash"] == path.stem


def test_a_failing_build_leaves_no_word(project: Project) -> None:
    (project.path / "more.py").write_text("VALUE = False\n")
    assert project.run("--skip-unchanged").ret == 1
    assert not list(up_to_date.directory().glob("*"))


def test_builds_that_are_alike_do_not_stand_for_each_other(project: Project) -> None:
    write(project, option='), FakeSource(diary=DIARY, name="other"')
    assert built(project, "--only", "web.fake")
    project.run("--skip-unchanged")
    entries = project.manifest()
    assert entries["web.fake"].get("up_to_date")
    assert "up_to_date" not in entries["web.other"]


def test_with_workers(project: Project) -> None:
    assert built(project, "-n", "2")
    assert not built(project, "-n", "2")
