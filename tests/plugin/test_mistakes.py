"""What a user may get wrong is one clear sentence at collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.project import Project

BUILD = "@harness.build(FakeSource())\ndef {name}(machine): pass\n"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            BUILD.format(name="web") + BUILD.format(name="db") + "def test_x(web, db): pass",
            "uses the builds db and web: a test proves one machine",
        ),
        (
            "@pytest.fixture(scope='session', params=[1, 2])\ndef region(request): ...\n"
            "@harness.build(FakeSource())\ndef web(machine, region): pass\ndef test_x(web): pass",
            "depends on the parametrized fixture 'region': write a source for each variant",
        ),
        (
            "@pytest.fixture\ndef region(): ...\n"
            "@harness.build(FakeSource())\ndef web(machine, region): pass\ndef test_x(web): pass",
            "takes the fixture 'region', whose scope is not the session",
        ),
        (
            "@harness.build(FakeSource())\ndef web(machine, regoin): pass\ndef test_x(web): pass",
            "takes 'regoin', and there is no fixture of that name",
        ),
        (
            "@harness.build(FakeSource(), FakeSource())\ndef web(machine): pass\n"
            "def test_x(web): pass",
            "has 2 sources named 'fake': give each a name of its own",
        ),
        ("@harness.build()\ndef web(machine): pass\n", "has 'no source' where a source belongs"),
        (
            "@harness.build(FakeSource)\ndef web(machine): pass\n",
            "where a source belongs: write @harness.build(harness.Qemu(...)), calls included",
        ),
        (
            "@harness.build(FakeSource())\ndef web(): pass\n",
            "takes 'nothing' as its first argument: a build function is",
        ),
        (
            "@harness.build(FakeSource())\ndef web(machine): yield\ndef test_x(web): pass",
            "the build 'web' is a generator or async function, which would never run",
        ),
        (
            "@harness.build(FakeSource())\nasync def web(machine): ...\ndef test_x(web): pass",
            "the build 'web' is a generator or async function, which would never run",
        ),
        (
            "@harness.build\ndef web(machine): pass\ndef test_x(web): pass",
            "@harness.build above 'web' has no parentheses: write @harness.build(",
        ),
        (
            "@harness.build(FakeSource())\n@pytest.fixture\ndef web(machine): pass\n"
            "def test_x(web): pass",
            "it makes a fixture of a plain function, so leave out @pytest.fixture",
        ),
        (
            "@pytest.fixture\n@harness.build(FakeSource())\ndef web(machine): pass\n"
            "def test_x(web): pass",
            "@pytest.fixture is being applied more than once to the same function 'web'",
        ),
        (
            "@harness.build(FakeSource())\ndef web(machine): pass\n"
            "@pytest.fixture(scope='session')\ndef page(web): ...\ndef test_x(page): pass",
            "the fixture 'page' has the scope 'session' and takes the build 'web'",
        ),
        (
            "@harness.build(FakeSource())\ndef web(machine): pass\n"
            "def test_x(web): pass\n@harness.sealed\ndef test_y(): pass",
            "test_y is marked sealed and uses no build: take the fixture of the build",
        ),
        (
            "import unittest\n@harness.build(FakeSource())\ndef web(machine): pass\n"
            "@pytest.mark.usefixtures('web')\nclass TestX(unittest.TestCase):\n"
            "    def test_x(self): pass",
            "test_x needs the build 'web' and cannot have it, as tests of a unittest.TestCase",
        ),
        (
            "@harness.build(FakeSource())\ndef web(machine): pass\n"
            "@harness.build(FakeSource())\ndef web(machine): pass\ndef test_x(web): pass",
            "the build 'web' is hidden by what takes its name further down",
        ),
        (
            "@harness.build(harness.Qemu(memroy=1))\ndef web(machine): pass\n",
            "Qemu has no option 'memroy': did you mean 'memory'?",
        ),
        (
            "@harness.build(harness.Qemu('debian-12'))\ndef web(machine): pass\n",
            "Qemu('debian-12'): options are given by name, as in Qemu(base=...)",
        ),
        (
            "@harness.build(harness.Qemu(memory='2G'))\ndef web(machine): pass\n",
            "test_builds.py:15: memory='2G': write a whole number of MiB, at least 64",
        ),
        (
            "class TestWeb:\n"
            "    @harness.build(FakeSource())\n    def web(machine): pass\n"
            "    def test_x(self, web): pass",
            "the build 'web' is in the class TestWeb: a build is a function of the module",
        ),
        (
            "@harness.build(FakeSource(name='a::b'))\ndef web(machine): pass\n"
            "def test_x(web): pass",
            "the build 'web' has a source named 'a::b': a name is of letters, digits",
        ),
    ],
)
def test_sentence(collection_error: Callable[[str], str], source: str, sentence: str) -> None:
    printed = collection_error(source)
    assert sentence in " ".join(printed.split())
    assert "harness/" not in printed  # no traceback of ours
    assert "INTERNALERROR" not in printed


def test_build_in_conftest(project: Project) -> None:
    project.write(BUILD.format(name="web"), "conftest")
    project.pytester.makepyfile(test_x="def test_x(web): pass")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "is in a conftest.py; a build lives in the test module" in result.stderr.str()


def test_build_in_the_conftest_of_a_folder_below(project: Project) -> None:
    sub = project.path / "sub"
    sub.mkdir()
    project.write(BUILD.format(name="web"), "sub/conftest")
    (sub / "test_x.py").write_text("def test_x(web): pass")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "is in a conftest.py; a build lives in the test module" in result.stderr.str()


def test_imported_build(project: Project) -> None:
    project.write(BUILD.format(name="web") + "def test_a(web): pass", "test_a")
    project.write("from test_a import web\ndef test_b(web): pass", "test_b")
    result = project.run()
    assert result.ret != 0
    assert "the build 'web' is imported from" in result.stdout.str()


def test_two_builds_of_one_name(project: Project) -> None:
    for name in ("test_a", "test_b"):
        project.write(BUILD.format(name="web") + "def test_x(web): pass", name)
    result = project.run()
    assert result.ret != 0
    assert "two builds are named web.fake: in test_a.py and in test_b.py" in result.stdout.str()


def test_a_module_that_cannot_be_imported_is_reported_once(project: Project) -> None:
    project.write("import no_such_module_at_all\n" + BUILD.format(name="web"))
    result = project.run()
    assert result.stdout.str().count("ERROR collecting") == 1


def test_wrong_options_stop_the_session_before_anything_is_created(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(diary=DIARY), harness.Qemu(base="debian-99", format="iso"))
def web(machine): pass
def test_x(web): pass
"""
    )
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "web.qemu: format='iso': choose one of qcow2, raw" in result.stderr.str()
    assert not (project.path / "diary.txt").exists()
