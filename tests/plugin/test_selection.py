"""`--only` and `--except`: what runs, what is left alone, and patterns that name nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
def source(name):
    return FakeSource(name=name, diary=DIARY)

@harness.build(source("small"), source("large"))
def web(machine): pass

def test_web(web): pass

@harness.build(FakeSource(diary=DIARY))
def db(machine): pass

def test_db(db): pass

def test_plain(): pass
"""


@pytest.mark.parametrize(
    ("options", "builds"),
    [
        (["--only=web.small"], {"web.small"}),
        (["--only=web"], {"web.small", "web.large"}),
        (["--only=*.la*"], {"web.large"}),
        (["--only=fake"], {"web.small", "web.large", "db.fake"}),
        (["--only=large,db"], {"web.large", "db.fake"}),
        (["--only=large", "--only", "db.*"], {"web.large", "db.fake"}),
        (["--except=web"], {"db.fake"}),
        (["--except=small,db"], {"web.large"}),
        (["--only=web", "--except=small"], {"web.large"}),
        (["--only=web", "-k", "small"], {"web.small"}),
    ],
)
def test_builds_are_chosen(project: Project, options: list[str], builds: set[str]) -> None:
    project.write(BUILDS)
    result = project.run(*options)
    assert result.ret == 0
    assert set(project.manifest()) == builds
    assert all(entry["image"] for entry in project.manifest().values())
    assert {line.split()[0] for line in project.diary()} == builds, "others are not even booted"


def test_tests_of_no_build_run_all_the_same(project: Project) -> None:
    project.write(BUILDS)
    assert "test_plain" in project.outcomes("--only=db")


@pytest.mark.parametrize("option", ["--only", "--except"])
def test_a_pattern_that_names_nothing(project: Project, option: str) -> None:
    project.write(BUILDS)
    result = project.run(f"{option}=web.smal")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"ERROR: {option}=web.smal: there is no such build, source type or source name among "
            "the builds collected: web.small, web.large, db.fake"
        ]
    )
    assert not (project.path / "diary.txt").exists()


def test_what_is_left_out_is_not_validated(project: Project) -> None:
    project.write(
        "@harness.build(harness.Qemu(memory=1), FakeSource())\ndef web(machine): pass\n"
        "def test_web(web): pass\n"
    )
    assert project.run("--except=qemu").ret == 0
    assert project.run().ret == pytest.ExitCode.USAGE_ERROR


def test_a_matrix_of_machines(project: Project) -> None:
    project.write(
        """
SOURCES = [FakeSource(name=f"v{n}", params={"version": n}, diary=DIARY) for n in (1, 2)]

@harness.build(*SOURCES)
def web(machine):
    note(f"{machine.context.build} has version {machine.params['version']}")

def test_web(web): pass
"""
    )
    assert project.run("--only=v2").ret == 0
    assert "web.v2 has version 2" in project.diary()
    assert "web.v1 has version 1" not in project.diary()
