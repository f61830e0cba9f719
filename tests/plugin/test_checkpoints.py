"""Runs that resume machines where earlier ones were saved, with a source that has none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import cache

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
DIARY_PATH = pathlib.Path(__file__).with_name("diary.txt")
# Behind each call a machine is saved, as if it had taken long.
import harness.checkpoints
harness.checkpoints.LONG = {long}

@harness.build(FakeSource(diary=DIARY, saves=True))
def web(machine):
    {function}

def test_a(web): assert {test}
"""
CALLS = "machine.shell('one'); machine.put('page', '/srv/'); machine.shell('two')"
NOTICE = "web.fake: once more, without a checkpoint: "


@pytest.fixture(autouse=True)
def page(project: Project) -> None:
    (project.path / "page").write_text("one")


def run(
    project: Project,
    function: str = CALLS,
    *options: str,
    long: float = 0.0,
    test: bool = True,
) -> tuple[list[str], list[str], pytest.RunResult]:
    """What happened to the machines, and the calls with what is said of them."""
    project.write(BUILDS.format(function=function, test=test, long=long))
    result = project.run(*options)
    happened = [line.removeprefix("web.fake ") for line in project.diary()]
    (project.path / "diary.txt").unlink()
    calls = [
        line.removeprefix("web.fake: ")
        for line in result.outlines
        if line.startswith("web.fake: ") and "cached" in line
    ]
    return [h for h in happened if h in {"boot", "resume", "save", "capture"}], calls, result


def test_a_machine_is_saved_behind_long_calls_and_behind_the_last(project: Project) -> None:
    happened, calls, _ = run(project)
    assert happened == ["boot", "save", "save", "save", "capture"]
    assert calls == [
        "shell one: not cached: nothing is saved yet",
        "put page: not cached: nothing is saved yet",
        "shell two: not cached: nothing is saved yet",
    ]
    assert run(project, CALLS.replace("one", "1"), long=99)[0] == ["boot", "save", "capture"]


def test_only_what_is_new_runs(project: Project) -> None:
    run(project)
    happened, calls, result = run(project)
    assert happened == ["resume", "capture"]
    assert calls == ["shell one: cached", "put page: cached", "shell two: cached"]
    assert result.ret == 0
    entry = project.manifest()["web.fake"]
    assert [call.get("replayed") for call in entry["calls"]] == [True] * 3
    assert entry["inputs"]["calls_replayed"] == 3

    (project.path / "page").write_text("two")
    happened, calls, _ = run(project)
    assert happened == ["resume", "save", "save", "capture"]
    assert calls == [
        "shell one: cached",
        "put page: not cached: page changed",
        "shell two: not cached: after what is new",
    ]
    assert [c.get("replayed") for c in project.manifest()["web.fake"]["calls"]] == [
        True,
        None,
        None,
    ]

    happened, calls, _ = run(project, CALLS + "; machine.shell('three')")
    assert happened == ["resume", "save", "capture"]
    assert calls[-1] == "shell three: not cached: new"


def test_calls_behind_the_deepest_checkpoint_run_again(project: Project) -> None:
    run(project, long=99)
    happened, calls, _ = run(project, CALLS.replace("two", "2"), long=99)
    assert happened == ["boot", "save", "capture"]
    assert calls == [
        "shell one: not cached: no checkpoint behind it, or too old",
        "put page: not cached: no checkpoint behind it, or too old",
        "shell 2: not cached: commands changed",
    ]


def test_what_a_test_changes_costs_no_provisioning(project: Project) -> None:
    run(project, test=False)
    happened, _, result = run(project)
    assert happened == ["resume", "capture"]
    assert result.ret == 0


@pytest.mark.parametrize("options", [["--fresh"], ["--no-cache"], ["--cold"]], ids=str)
def test_without_checkpoints(project: Project, options: list[str]) -> None:
    run(project)
    happened, calls, _ = run(project, CALLS, *options)
    assert happened == ["boot", "capture"]
    assert calls == []
    assert "calls_replayed" not in project.manifest()["web.fake"]["inputs"]


def test_in_ci_an_image_never_comes_from_a_checkpoint(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    monkeypatch.setenv("CI", "true")
    assert run(project)[0] == ["boot", "capture"]
    assert run(project, CALLS, "--no-fresh")[0] == ["resume", "capture"]


def test_a_checkpoint_has_its_day(project: Project) -> None:
    run(project)
    for path in (cache.directory() / "fake-checkpoints").glob("*.json"):
        calls = json.loads(path.read_text())
        calls[0]["at"] -= 24 * 3600
        path.write_text(json.dumps(calls))
    happened, calls, _ = run(project)
    assert happened == ["boot", "save", "save", "save", "capture"]
    assert calls[0] == "shell one: not cached: no checkpoint behind it, or too old"
    assert run(project)[0] == ["resume", "capture"], "it was replaced"


def test_the_project_says_how_long_that_is(project: Project) -> None:
    (project.path / "pyproject.toml").write_text('[tool.harness]\ncheckpoint_max_age = "1ms"\n')
    run(project)
    assert run(project)[0] == ["boot", "save", "save", "save", "capture"]


def test_a_call_that_is_not_to_be_kept(project: Project) -> None:
    calls = CALLS.replace("'two'", "'two', cache=False") + "; machine.shell('three')"
    assert run(project, calls)[0] == ["boot", "save", "save", "capture"]
    happened, said, _ = run(project, calls)
    assert happened == ["resume", "capture"]
    assert said[2:] == [
        "shell two: not cached: cache=False",
        "shell three: not cached: cache=False",
    ]


def test_who_leaves_the_chain_is_not_kept_from_there_on(project: Project) -> None:
    calls = "machine.shell('one'); machine.ssh_config; machine.shell('two')"
    assert run(project, calls)[0] == ["boot", "save", "capture"]
    happened, said, _ = run(project, calls)
    assert happened == ["resume", "capture"]
    assert said == ["shell one: cached", "shell two: not cached: machine.ssh_config was used"]


def test_a_function_that_does_something_else_each_time(project: Project) -> None:
    calls = "machine.shell('one'); machine.shell(str(time.time_ns())); machine.shell('two')"
    run(project, calls)
    happened, said, _ = run(project, calls)
    assert happened == ["resume", "save", "save", "capture"]
    assert said[0] == "shell one: cached"


def test_a_function_that_does_something_else_on_the_machine(project: Project) -> None:
    """It rehearses one thing and does another: the machine is of no use then."""
    calls = (
        "note('once more'); times = DIARY_PATH.read_text().count('once more'); "
        "machine.shell('one' if times < 2 else 'other')"
    )
    run(project, calls)
    happened, _, result = run(project, calls)
    assert happened == ["resume", "boot", "save", "capture"]
    assert NOTICE + "commands changed" in result.outlines
    assert result.ret == 0


def test_a_failing_call_is_not_on_the_record(project: Project) -> None:
    calls = "machine.shell('one'); machine.put('nothing', '/'); machine.shell('two')"
    happened, _, result = run(project, calls)
    assert happened == ["boot", "save"]
    assert result.ret == 1
    happened, said, result = run(project, calls)
    assert happened == ["resume"]
    assert said == ["shell one: cached", "put nothing: not cached: new"]
    result.stdout.fnmatch_lines(["*put: nothing (relative to *) does not exist; *"])


def test_what_runs_here_runs_once_in_each_run(project: Project) -> None:
    calls = "machine.shell('one'); machine.local('echo ran >>here'); machine.shell('{}')"
    for number, last in enumerate(["two", "two", "three"], 1):
        run(project, calls.format(last))
        assert (project.path / "here").read_text() == "ran\n" * number


def test_a_fetched_file_comes_from_the_record(project: Project) -> None:
    calls = "machine.get('/etc/os', 'os'); machine.shell('one ' + open('os').read())"
    project.write(BUILDS.format(function=calls, test=True, long=0))
    # Without a machine there is nothing to fetch: that is for tests on real ones.
    assert project.run().ret == 1


def test_a_damaged_record_is_no_record(project: Project) -> None:
    run(project)
    for path in (cache.directory() / "fake-checkpoints").glob("*.json"):
        path.write_text('[{"key": "none"}]')
    assert run(project)[0] == ["boot", "save", "save", "save", "capture"]


def test_workers_share_them(project: Project) -> None:
    run(project)
    happened, calls, _ = run(project, CALLS, "-n", "2")
    assert happened == ["resume", "capture"]
    assert calls == ["shell one: cached", "put page: cached", "shell two: cached"]
