"""Variables in a session: where their values come from, and where they are read."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
REGION = harness.var("region", default="eu", description="where it is built")
harness.var("token", sensitive=True, env="AGENT_TOKEN", default="t0ken-of-nobody")

@harness.build(
    FakeSource(
        diary=DIARY,
        params={"region": REGION, "sizes": [harness.var("size", default=8)]},
        prints="built in {var.region}, not in {{var.region}} or {region}",
    ),
    tests=["checks.py"],
)
def web(machine, variables):
    note(f"function {variables!r} {machine.params} {machine.source.prints}")
    machine.shell(f"build in {variables.region}", env={"TOKEN": variables.token})

@pytest.fixture
def region(variables):
    return variables.region

def test_web(web, variables, region):
    note(f"test {variables.region} {variables.size} {variables.token} {region}")
"""
CHECKS = """
import pathlib
def test_shared(host, variables):
    with (pathlib.Path(__file__).parent / "diary.txt").open("a") as file:
        file.write(f"shared {variables.region}\\n")
"""


@pytest.fixture(autouse=True)
def nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGENT_TOKEN", "HARNESS_VAR_region", "HARNESS_VAR_token"):
        monkeypatch.delenv(name, raising=False)


def write(project: Project, builds: str = BUILDS) -> None:
    project.write(builds)
    (project.path / "checks.py").write_text(CHECKS)


def noted(project: Project) -> list[str]:
    return [line for line in project.diary() if not line.startswith("web.fake ")]


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_all_read_the_same_values(project: Project, workers: list[str]) -> None:
    write(project)
    result = project.run("--var", "region=us", "--var=size=16", *workers)
    assert result.ret == 0
    assert noted(project) == [
        "function Variables(region='us', size=16, token='***') "
        "{'region': 'us', 'sizes': [16]} built in us, not in {{var.region}} or {region}",
        "shared us",
        "test us 16 *** us",
    ]
    assert project.manifest()["web.fake"]["inputs"]["variables"] == {
        "region": "us",
        "size": 16,
        "token": "***",
    }


def test_later_ones_win(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project)
    steps = {
        "default": "eu",
        "project": "from-project",
        "environment": "from-environment",
        "one.json": "from-json",
        "two.toml": "from-toml",
        "three.yaml": "from-yaml",
        "--var": "from-line",
    }
    files: list[str] = []
    for step, expected in steps.items():
        if step == "project":
            text = f'[tool.harness.variables]\nregion = "{expected}"\nsomebodys = 1\n'
            (project.path / "pyproject.toml").write_text(text)
        elif step == "environment":
            monkeypatch.setenv("HARNESS_VAR_region", expected)
        elif step == "--var":
            files = ["--var", f"region={expected}", *files]
        elif step != "default":
            equals = " = " if step.endswith("toml") else ": "
            pair = (
                f'{{"region": "{expected}"}}' if "json" in step else f'region{equals}"{expected}"'
            )
            (project.path / step).write_text(pair)
            files += ["--var-file", step]
        assert project.run(*files, "-k", "test_web").ret == 0
        assert noted(project)[-1] == f"test {expected} 8 *** {expected}"


def test_a_file_may_be_a_pipe_though_workers_need_it_too(project: Project) -> None:
    write(project)
    pipe = project.path / "pipe"
    os.mkfifo(pipe)

    def give_once() -> None:
        with pipe.open("w") as file:
            file.write("region: piped")
        pipe.unlink()

    giving = threading.Thread(target=give_once)
    giving.start()
    result = project.run("-n", "2", "--var-file", "pipe")
    giving.join()
    assert result.ret == 0
    assert "shared piped" in noted(project)


MISSING = """
@harness.build(FakeSource(diary=DIARY), FakeSource(diary=DIARY, name="b"))
def web(machine): pass

@harness.build(FakeSource(diary=DIARY, params={"key": harness.var("key")}))
def db(machine): pass

harness.var("region", description="where it is built", env="REGION_OF_ALL")
def test_web(web): pass
def test_db(db): pass
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_a_missing_one_is_an_error_before_anything_is_created(
    project: Project, workers: list[str]
) -> None:
    write(project, MISSING)
    (project.path / "pyproject.toml").write_text("[tool.harness.variables]\nregoin = 'eu'\n")
    result = project.run(*workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*the variable 'region' (where it is built) has no value, and web.fake, web.b, db.fake "
            "need it: give --var region=VALUE, --var-file FILE with it, HARNESS_VAR_region or "
            "REGION_OF_ALL in the environment, or region in [[]tool.harness.variables] of "
            "pyproject.toml ([[]tool.harness.variables] has 'regoin': is that what you meant?)",
            "*the variable 'key' has no value, and db.fake needs it: *",
        ]
    )
    assert result.stderr.str().count("has no value") == 2
    assert not (project.path / "diary.txt").exists()


def test_it_is_needed_by_selected_builds_only(project: Project) -> None:
    write(project, MISSING)
    assert project.run("--collect-only").ret == 0
    assert project.run("--var", "region=eu", "--only", "web").ret == 0
    assert project.run("--var", "region=eu").ret == pytest.ExitCode.USAGE_ERROR


def test_an_empty_one_of_the_environment_is_no_value(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, MISSING)
    monkeypatch.setenv("REGION_OF_ALL", "")
    monkeypatch.setenv("HARNESS_VAR_region", "")
    assert "'region' (where it is built) has no value" in project.run().stderr.str()
    monkeypatch.setenv("REGION_OF_ALL", "eu")
    assert "'region' (where it is built) has no value" not in project.run().stderr.str()


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_undeclared_ones(project: Project, workers: list[str]) -> None:
    write(project)
    (project.path / "vars.json").write_text('{"regoin": "us", "zzz": 1}')
    result = project.run("-W", "error", "--var-file", "vars.json", *workers)
    assert result.ret == 0
    told = [line for line in result.outlines if "warning: --var-file" in line]
    assert told == [
        "warning: --var-file vars.json has 'regoin', which is no variable of the builds "
        "collected: did you mean 'region'?",
        "warning: --var-file vars.json has 'zzz', which is no variable of the builds collected",
    ]
    (project.path / "diary.txt").unlink()
    result = project.run("--var", "regoin=us", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--var regoin=***: the builds collected declare no such variable: did you mean" in (
        result.stderr.str()
    )
    assert not (project.path / "diary.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--var", "region"], "'region' is no NAME=VALUE, as in region=eu-north-1"),
        (["--var", "=s3cret"], "'=***' is no NAME=VALUE"),
        (["--var-file", "none.json"], "/none.json: No such file or directory"),
        (["--var-file", "a.hcl"], "its name ends in .json, .toml, .yaml, .yml"),
        (["--var", "size=large"], "web.fake: the variable 'size': 'large' (from --var) is not a "),
    ],
)
def test_what_is_wrong_is_a_sentence(project: Project, arguments: list[str], sentence: str) -> None:
    write(project)
    (project.path / "a.hcl").write_text("")
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    printed = result.stderr.str()
    assert sentence.replace("web.fake: ", "") in printed
    assert "s3cret" not in printed
    assert "Traceback" not in printed


def test_a_changed_value_counts_for_the_calls_that_have_it(project: Project) -> None:
    write(project, BUILDS.replace("diary=DIARY,", "diary=DIARY, saves=True,"))
    calls = "web.fake: shell build in us: not cached: commands changed"
    assert project.run("--var", "token=one-token").ret == 0
    result = project.run("--var", "token=another-token")
    assert "web.fake: shell build in eu: cached" in result.stdout.str()
    assert calls in project.run("--var", "region=us").stdout.str()


def test_modules_do_not_meet(project: Project) -> None:
    for name, default in {"test_a": "'eu'", "test_b": "3"}.items():
        project.write(
            f"harness.var('place', default={default})\n"
            f"@harness.build(FakeSource(diary=DIARY))\ndef {name[-1]}(machine, variables):\n"
            f"    note(f'{name} {{variables.place!r}}')\ndef test_x({name[-1]}): pass\n",
            name,
        )
    assert project.run().ret == 0
    assert {"test_a 'eu'", "test_b 3"} <= set(project.diary())
    assert project.run("--var", "place=4").ret == 0
    assert {"test_a '4'", "test_b 4"} <= set(project.diary())


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "harness.var('a', default='x')\n"
            "@harness.build(FakeSource(params={'a': harness.var('a')}))\ndef web(machine): pass",
            "the variable 'a' is declared in two ways, at */test_builds.py:15 and at */test_builds",
        ),
        (
            "harness.var('region')\n"
            "@harness.build(FakeSource(prints='{var.regoin}'))\ndef web(machine): pass",
            "web.fake: prints has {var.regoin}, and there is no such variable: did you mean 'reg",
        ),
        (
            "@harness.build(FakeSource(prints='{var.region}'))\ndef web(machine): pass",
            'there is no such variable: declare it in the module, harness.var("region")',
        ),
        (
            "@harness.build(FakeSource(name=harness.var('a')))\ndef web(machine): pass",
            "has a source named var('a'): builds are chosen by their names before anything else",
        ),
        (
            "@harness.build(FakeSource(prints=f'{harness.var(\"a\")}'))\ndef web(machine): pass",
            "test_builds.py:15: var('a') has no text yet: give it to an option as it is, write",
        ),
        (
            "harness.var('a', type=dict)\n@harness.build(FakeSource())\ndef web(machine): pass",
            "test_builds.py:15: var('a', type=<class 'dict'>): there are str, int, float, bool, ",
        ),
    ],
)
def test_mistakes_are_told_at_collection(project: Project, source: str, sentence: str) -> None:
    project.write(f"{source}\n\ndef test_x(web): pass\n")
    result = project.run("--collect-only")
    assert result.ret != 0
    result.stdout.fnmatch_lines([f"*{sentence.replace('[', '[[]')}*"])


def test_an_options_type_is_checked_when_its_value_is_known(project: Project) -> None:
    project.write(
        "@harness.build(harness.Qemu(memory=harness.var('size'), "
        "image_name=harness.var('token', sensitive=True)))\n"
        "def web(machine): pass\ndef test_x(web): pass\n"
    )
    result = project.run("--var", "size=2G", "--var", "token=the-s3cret")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "web.qemu: memory='2G': write a whole number of MiB, at least 64 "
        "(variables: size='2G' from --var, token='***' from --var)"
    ) in result.stderr.str()
    assert "s3cret" not in result.stderr.str()


def test_an_unknown_attribute_is_told(project: Project) -> None:
    write(project, BUILDS.replace('f"build in {variables.region}"', "variables.regoin"))
    result = project.run()
    result.stdout.fnmatch_lines(["*there is no variable 'regoin' here: did you mean 'region'?"])
    assert "harness/given.py" not in result.stdout.str()


def test_a_module_without_builds_has_none(project: Project) -> None:
    project.write("def test_x(variables): pass\n")
    result = project.run()
    result.stdout.fnmatch_lines(["*test_builds.py takes `variables`, and has no builds: *"])


def test_somebodys_own_fixture_of_the_name_is_used(project: Project) -> None:
    (project.path / "conftest.py").write_text(
        "import pytest\n@pytest.fixture(scope='session')\ndef variables(): return 1\n"
    )
    project.write("def test_x(variables): assert variables == 1\n")
    assert project.run().ret == 0


def test_the_manifest_stays_json(project: Project) -> None:
    project.write(
        "harness.var('path', default=pathlib.Path('/a'))\nharness.var('list', default=['a'])\n"
        "harness.var('none', default=None)\n"
        "@harness.build(FakeSource())\ndef web(machine): pass\ndef test_x(web): pass\n"
    )
    assert project.run().ret == 0
    variables = project.manifest()["web.fake"]["inputs"]["variables"]
    assert json.dumps(variables) == '{"list": ["a"], "none": null, "path": "/a"}'
