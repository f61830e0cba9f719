"""Machines that outlive their run: --on-error=keep, --attach, harness remove."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness import journal, kept

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
@harness.build(FakeSource(diary=DIARY), FakeSource(diary=DIARY, name="other"))
def web(machine): {function}

def test_a(web): assert {test}
def test_b(web): pass
"""
CONNECTS_SLOWLY = """
import pathlib
from harness.testing import FakeSource

def connect(self, instance, context):
    (pathlib.Path(__file__).parent / "diary.txt").write_text("waits")
    context.cancel.sleep(60)

FakeSource.connect = connect
"""
STAYS = ["boot", "connect", "keep", "hung up"]
GOES = ["boot", "connect", "hung up", "destroy"]


def write(project: Project, *, function: str = "pass", test: str = "True") -> None:
    project.write(BUILDS.format(function=function, test=test))


def happened(project: Project, name: str = "web.fake") -> list[str]:
    found = [line.split(" ", 1)[1] for line in project.diary() if line.startswith(f"{name} ")]
    (project.path / "diary.txt").unlink()
    return found


def harness(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; exit(main())", *arguments],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "wrong",
    [{"test": "False"}, {"function": "raise RuntimeError"}, {"test": "pytest.skip()"}],
    ids=str,
)
def test_the_machine_of_a_build_that_fails_is_kept(project: Project, wrong: dict[str, str]) -> None:
    write(project, **wrong)
    result = project.run("--on-error=keep", "--only", "web.fake")
    assert result.ret == 1
    assert happened(project) == STAYS
    (machine,) = kept.find()
    assert machine.build == "web.fake"
    assert project.manifest()["web.fake"]["kept"] == machine.login
    result.stdout.fnmatch_lines(
        [
            "web.fake  kept: harness login web.fake (or ssh -F */ssh_config*default)",
            "web.fake  kept: harness remove web.fake removes it",
        ]
    )
    assert machine.folder.stat().st_mode & 0o077 == 0
    assert not list(journal.directory().glob("*")), "it is nobody's leftover"


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--on-error=keep"], {}),
        (["--on-error=cleanup"], {"test": "False"}),
        ([], {"test": "False"}),
        (["--on-error=keep", "-k", "test_b"], {}),
    ],
    ids=str,
)
def test_other_machines_go(project: Project, options: list[str], wrong: dict[str, str]) -> None:
    write(project, **wrong)
    project.run(*options, "--only", "web.fake")
    assert happened(project)[-1] == "destroy"
    assert kept.find() == []


def test_a_kept_machine_is_tested_anew_and_becomes_the_image(project: Project) -> None:
    write(project, test="False")
    assert project.run("--on-error=keep").ret == 1
    assert {k.build for k in kept.find()} == {"web.fake", "web.other"}
    happened(project)
    result = project.run("--attach", "web.fake")  # nothing has changed
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=2, deselected=4)
    assert happened(project) == ["attach", "connect", "keep", "hung up"]
    write(project)
    result = project.run("--attach", "web.fake")
    assert result.ret == 0
    assert happened(project) == [
        *("attach", "connect", "seal", "stop", "capture", "publish", "hung up", "destroy"),
    ]
    assert project.manifest()["web.fake"]["image"] is not None
    assert {k.build for k in kept.find()} == {"web.other"}
    assert not list(journal.directory().glob("*"))


def test_only_what_is_new_or_changed_is_repeated(project: Project) -> None:
    (project.path / "site").mkdir()
    page = project.path / "site" / "index.html"
    page.write_text("one")
    before = (
        "machine.shell('first', env={'A': 'b'}); machine.put('site/', '/srv'); "
        "note('run ' + machine.run('second').stdout); machine.shell('third')"
    )
    options = ("-s", "--only", "web.fake")

    def said(function: str, *more: str, test: bool = False) -> list[str]:
        write(project, function=function, test=str(test))
        lines = project.run(*options, *more).outlines
        text = "\n".join(line for line in lines if "not repeated" not in line)
        return [w for w in ("first", "put site", "second", "third", "4th") if f"$ {w}" in text]

    assert said(before, "--on-error=keep") == ["first", "put site", "second", "third"]
    assert said(before, "--attach=web.fake") == []
    assert said(before + "; machine.shell('4th')", "--attach=web.fake") == ["4th"]
    page.write_text("two")
    assert said(before, "--attach=web.fake") == ["put site", "second", "third"]
    page.chmod(0o600)
    assert said(before, "--attach=web.fake") == ["put site", "second", "third"]
    changed = before.replace("'b'", "'c'")
    assert said(changed, "--attach=web.fake") == ["first", "put site", "second", "third"]
    failing = changed.replace("'third'", "'fails'")
    failed = failing.replace("machine.shell('fails')", "machine.shell('fails'); 1 / 0")
    assert said(failed, "--attach=web.fake") == []
    (machine,) = kept.find()
    assert len(machine.calls) == 4
    assert said(changed, "--attach=web.fake", test=True) == ["third"]
    assert project.manifest()["web.fake"]["inputs"]["calls_replayed"] == 3
    assert project.diary().count("run ") == 8, "an answer comes from the record too"


def test_an_attached_machine_that_fails_goes_where_that_is_asked_for(project: Project) -> None:
    write(project, test="False")
    project.run("--on-error=keep", "--only", "web.fake")
    happened(project)
    project.run("--attach", "web.fake", "--on-error=cleanup")
    assert happened(project) == ["attach", "connect", "hung up", "destroy"]
    assert kept.find() == []


@pytest.mark.parametrize("options", [[], ["--on-error=keep"]], ids=str)
def test_an_attached_machine_of_which_no_image_was_taken_is_kept_again(
    project: Project, options: list[str]
) -> None:
    write(project, test="False")
    project.run("--on-error=keep", "--only", "web.fake")
    happened(project)
    result = project.run("--attach", "web.fake", "test_builds.py::test_b[fake]", *options)
    assert result.ret == 0
    assert happened(project) == ["attach", "connect", "keep", "hung up"]
    result.stdout.fnmatch_lines(["web.fake  kept: harness remove web.fake removes it"])
    assert [k.build for k in kept.find()] == ["web.fake"]
    assert not list(journal.directory().glob("*"))


@pytest.mark.parametrize("during", ["connect", "provision", "test"])
def test_an_attached_machine_is_kept_again_when_its_run_is_stopped(
    project: Project, during: str
) -> None:
    write(project, test="False")
    project.run("--on-error=keep", "--only", "web.fake")
    happened(project)
    write(
        project,
        function="note('waits'); machine.pause(60)" if during == "provision" else "pass",
        test="note('waits') or time.sleep(60)" if during == "test" else "True",
    )
    if during == "connect":
        (project.path / "conftest.py").write_text(CONNECTS_SLOWLY)
    process = project.start("--attach", "web.fake")
    diary = project.path / "diary.txt"
    project.wait(process, lambda: diary.exists() and "waits" in diary.read_text())
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "destroy" not in diary.read_text(), output
    assert "web.fake  kept: harness login web.fake" in output
    assert [k.build for k in kept.find()] == ["web.fake"]
    assert not list(journal.directory().glob("*"))


def test_what_cannot_be_attached_is_told_before_anything_happens(project: Project) -> None:
    write(project, test="False")
    project.run("--on-error=keep", "--only", "web.other")
    happened(project)
    result = project.run("--attach", "web.fake")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*no machine of that build was kept here (there is: web.other); --on-error=keep*"]
    )
    assert "there is no such build" in project.run("--attach", "nobody").stderr.str()
    changed = BUILDS.replace('name="other"', 'name="other", seconds={{"seal": 0.01}}')
    project.write(changed.format(function="pass", test="True"))
    result = project.run("--attach", "web.other")
    result.stderr.fnmatch_lines(["*seconds of the source has changed since the machine was kept*"])
    assert not (project.path / "diary.txt").exists()
    assert len(kept.find()) == 1
    assert not list(journal.directory().glob("*"))


def test_a_sealed_machine_is_let_in_to_again(project: Project) -> None:
    write(project)
    with (project.path / "test_builds.py").open("a") as file:
        file.write("\n@harness.sealed\ndef test_sealed(web): assert False\n")
    project.run("--on-error=keep", "--only", "web.fake")
    assert happened(project) == ["boot", "connect", "seal", "reopen", "keep", "hung up"]


def test_a_machine_that_was_shut_down_is_not_kept(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(diary=DIARY, fails={"capture": "no room"}))
def web(machine): pass
def test_a(web): pass
"""
    )
    project.run("--on-error=keep")
    assert happened(project)[-1] == "destroy"


def test_the_command_lists_and_removes_them(project: Project) -> None:
    write(project, test="False")
    project.run("--on-error=keep")
    project.run("--on-error=keep", "--only", "web.fake")
    assert harness(project, "gc", "--yes").stdout.count("kept on purpose: web.") == 3
    assert len(kept.find()) == 3
    removed = harness(project, "remove", "web.fake")
    assert removed.returncode == 0
    assert removed.stdout.count("removed: instance fake-") == 2
    assert [k.build for k in kept.find()] == ["web.other"]
    nothing = harness(project, "remove", "web.fake")
    assert nothing.returncode == 1
    assert nothing.stderr == "no machine of web.fake was kept; there is: web.other\n"
    assert harness(project, "login", "db.fake").returncode == 1


def test_workers_keep_machines_too(project: Project) -> None:
    write(project, test="False")
    result = project.run("--on-error=keep", "-n", "2")
    result.stdout.fnmatch_lines(["web.other  kept: harness login web.other *"])
    assert len(kept.find()) == 2
    write(project)
    assert project.run("--attach", "web.fake", "--attach", "web.other", "-n", "2").ret == 0
    assert kept.find() == []
