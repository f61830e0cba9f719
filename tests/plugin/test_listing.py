"""`harness variables`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.project import Project

BUILDS = """
harness.var("region", default="eu", description="where it is built")
harness.var("token", sensitive=True, env="AGENT_TOKEN")
harness.var("size", type=int)
@harness.build(FakeSource(diary=DIARY, params={"key": harness.var("key")}), tests=["checks.py"])
def NAME(machine): pass
def test_x(NAME): pass
"""


@pytest.fixture(autouse=True)
def builds(project: Project) -> None:
    project.write(BUILDS.replace("NAME", "web"), "test_web")
    project.write("def test_plain(): pass", "test_plain")
    (project.path / "checks.py").write_text("def test_y(host): pass\n")


def listed(
    project: Project, *arguments: str, pass_fds: Sequence[int] = ()
) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", "import harness.cli; raise SystemExit(harness.cli.main())"]
    ran = subprocess.run(
        [*command, "variables", *arguments],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=pass_fds,
    )
    assert not (project.path / "diary.txt").exists()
    return ran.returncode, [line for line in (ran.stdout + ran.stderr).splitlines() if line]


def test_each_variable_with_its_value_and_where_it_is_from(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_TOKEN", "the-s3cret")
    (project.path / "v.toml").write_text('region = "us"\nregoin = 1\n')
    # What a project asks pytest for changes nothing.
    (project.path / "pytest.ini").write_text(
        "[pytest]\naddopts = -vv -ra\nfilterwarnings = error\n"
    )
    assert listed(project, "--var", "size=8", "--var-file", "v.toml") == (
        0,
        [
            "test_web.py",
            "  NAME    VALUE  FROM               DESCRIPTION",
            "  region  'us'   --var-file v.toml  where it is built",
            "  token   ***    AGENT_TOKEN",
            "  size    8      --var",
            "  key            missing",
            "warning: --var-file v.toml has 'regoin', which is no variable of the builds "
            "collected: did you mean 'region'?",
        ],
    )


def test_what_is_wrong_is_told(project: Project) -> None:
    status, lines = listed(project, "--var", "size=large")
    assert status == 2
    assert "the variable 'size': 'large' (from --var) is not a whole number, as in 8" in lines[-1]
    status, lines = listed(project, "--var", "sise=8")
    assert status == 2
    assert lines[-1].endswith("declare no such variable: did you mean 'size'?")
    project.write("import nothing_like_this", "test_web")
    status, lines = listed(project)
    assert status == 2
    assert any("nothing_like_this" in line for line in lines)


def test_of_a_part_and_of_nothing(project: Project) -> None:
    project.write(BUILDS.replace("NAME", "db"), "test_db")
    assert [line for line in listed(project)[1] if "test_" in line] == ["test_db.py", "test_web.py"]
    assert listed(project, "test_db.py")[1][0] == "test_db.py"
    assert listed(project, "test_plain.py") == (0, ["no variable is declared"])


def test_of_a_module_without_builds(project: Project) -> None:
    project.write("harness.var('a'), harness.var('b')\ndef test_x(): pass", "test_vars")
    assert listed(project, "test_vars.py") == (
        0,
        [
            "test_vars.py declares 'a', 'b', and has no build: variables are those of the builds "
            "of their module"
        ],
    )


def test_of_a_packer_template(project: Project) -> None:
    (project.path / "packer").mkdir()
    template = {"variables": {"a": "x", "b": "{{user `a`}}-y"}, "builders": [{"type": "qemu"}]}
    (project.path / "packer" / "build.json").write_text(json.dumps(template))
    (project.path / "v.json").write_text('{"a": "z"}')
    assert listed(project, "packer/build.json", "--var-file", "v.json") == (
        0,
        [
            "packer/build.json",
            "  NAME  VALUE  FROM               DESCRIPTION",
            "  a     'z'    --var-file v.json",
            "  b     'z-y'  default",
        ],
    )


def test_values_may_come_by_a_pipe(project: Project) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"region": "us"}')
    os.close(writing)
    status, lines = listed(project, "--var-file", f"/dev/fd/{reading}", pass_fds=[reading])
    os.close(reading)
    assert status == 0
    assert f"--var-file /dev/fd/{reading}" in next(line for line in lines if "region" in line)
