"""`--only` and `--except`: what runs, what is left alone, and patterns that name nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

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
        "@harness.build(harness.Qemu(format='iso'), FakeSource())\ndef web(machine): pass\n"
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


FOR_SOME = """
@harness.build(FakeSource(name="small", diary=DIARY), FakeSource(name="large", diary=DIARY))
def web(machine):
    note(f"{machine.context.build} is large: {machine.only({pattern!r})}")

def test_always(web): pass

@harness.only({pattern!r})
def test_for_some(web): pass

@harness.only("web", "qemu")
class TestGroup:
    @harness.only("small")
    def test_for_the_small(self, web): pass
"""


def write_for_some(project: Project, pattern: str) -> None:
    project.write(FOR_SOME.replace("{pattern!r}", repr(pattern)))


@pytest.mark.parametrize("pattern", ["web.large", "l*", "large"])
def test_a_mark_leaves_a_test_to_some_builds(project: Project, pattern: str) -> None:
    write_for_some(project, pattern)
    result = project.run()
    result.stdout.fnmatch_lines(["*collected 8 items"])
    assert result.ret == 0
    tests = {
        name: {t["id"].partition("::")[2] for t in entry["tests"]}
        for name, entry in project.manifest().items()
    }
    assert tests == {
        "web.small": {"test_always[small]", "TestGroup::test_for_the_small[small]"},
        "web.large": {"test_always[large]", "test_for_some[large]"},
    }
    assert all(entry["image"] for entry in project.manifest().values())
    assert "web.small is large: False" in project.diary()
    assert "web.large is large: True" in project.diary()


def test_what_a_mark_leaves_out_is_not_shown(project: Project) -> None:
    write_for_some(project, "large")
    listed = project.run("--collect-only").stdout
    listed.fnmatch_lines(["*test_for_some[[]large]>"])
    listed.no_fnmatch_line("*test_for_some[[]small]*")
    listed.fnmatch_lines(["*8 tests collected*"])
    assert project.run("test_builds.py::test_for_some[small]").ret == pytest.ExitCode.USAGE_ERROR
    assert set(project.outcomes("test_builds.py::web", "--only=small")) == {
        "web::provision[small]",
        "test_always[small]",
        "TestGroup::test_for_the_small[small]",
        "web::image[small]",
    }


def test_a_mark_in_shared_checks(project: Project) -> None:
    (project.path / "base.py").write_text(
        "import harness\n@harness.only('small')\ndef test_small(host): pass\n"
        "def test_all(host): pass\n"
    )
    project.write(
        "@harness.build(FakeSource(name='small'), FakeSource(name='large'), tests=['base.py'])\n"
        "def web(machine): pass\n"
    )
    assert project.run().ret == 0
    tests = {n: [t["id"] for t in e["tests"]] for n, e in project.manifest().items()}
    assert {n: len(ids) for n, ids in tests.items()} == {"web.small": 2, "web.large": 1}


@pytest.mark.parametrize("pattern", ["web.larg", "amazon-ebz"])
def test_a_mark_that_fits_nothing(collection_error: Callable[[str], str], pattern: str) -> None:
    assert (
        f"ERROR: test_builds.py::test_for_some[small]: harness.only({pattern!r}): there is no such "
        "build, source type or source name; there are amazon-ebs, fake, large, qemu, small, web, "
        "web.large, web.small"
    ) in collection_error(FOR_SOME.replace("{pattern!r}", repr(pattern)))


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        ("harness.only()", "harness.only() chooses nothing: name builds, as in"),
        ("harness.only(['fake'])", "harness.only(['fake']): a pattern is a text; write several as"),
    ],
)
def test_a_mark_without_patterns(
    collection_error: Callable[[str], str], mark: str, sentence: str
) -> None:
    source = f"@harness.build(FakeSource())\ndef web(machine): pass\n@{mark}\ndef test_x(web): pass"
    assert sentence in collection_error(source)


def test_a_mark_of_a_test_without_a_build(collection_error: Callable[[str], str]) -> None:
    source = "@harness.build(FakeSource())\ndef web(machine): pass\n"
    source += "@harness.only('web')\ndef test_x(): pass"
    assert (
        "test_builds.py::test_x is marked harness.only and uses no build of its module (web)"
        in collection_error(source)
    )


def test_a_build_function_asks_for_a_name_that_there_is_not(project: Project) -> None:
    project.write(
        "@harness.build(FakeSource())\ndef web(machine): machine.only('qemu', 'amazn-*')\n"
        "def test_x(web): pass\n"
    )
    result = project.run()
    result.stdout.fnmatch_lines(
        [
            "machine.only('amazn-*'): there is no such build, source type or source name; there "
            "are amazon-ebs, fake, qemu, web, web.fake"
        ]
    )
    assert result.ret == 1
