"""Files that options name are no paths of tests: pytest's rootdir is not where they lie."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.plugin.rootdir import joined

if TYPE_CHECKING:
    from pathlib import Path

    from tests.project import Project

BUILD = """
harness.var("own"), harness.var("region")

@harness.build(FakeSource())
def web(machine): pass

def test_x(web, variables, pytestconfig):
    assert (variables.own, variables.region) == ("mine", "eu")
    assert pytestconfig.getini("console_output_style") == "classic"
"""
SETTINGS = """
[tool.harness.variables]
own = "mine"

[tool.pytest.ini_options]
console_output_style = "classic"
addopts = ["--theirs"]
"""
CONFTEST = "def pytest_addoption(parser): parser.addoption('--theirs', action='store_true')"


@pytest.fixture(autouse=True)
def settings(project: Project) -> None:
    project.write(BUILD)
    (project.path / "pyproject.toml").write_text(SETTINGS)
    project.pytester.makeconftest(CONFTEST)


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_var_file_elsewhere(project: Project, tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "v.json").write_text('{"region": "eu"}')
    result = project.run(*workers, "--var-file", str(tmp_path / "v.json"))
    assert result.ret == 0
    assert project.manifest().keys() == {"web.fake"}
    assert sum(line.startswith("rootdir: ") for line in result.outlines) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_pipe(project: Project, workers: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"region": "eu"}')
    os.close(writing)
    given = (*workers, "--var-file", f"/dev/fd/{reading}")
    command = [sys.executable, "-m", "pytest", *given]
    subprocess.run(command, cwd=project.path, check=True, pass_fds=[reading])
    os.close(reading)
    assert project.manifest().keys() == {"web.fake"}


def test_what_the_first_look_would_have_refused_is_told_once(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "v.json").write_text('{"region": "eu"}')
    result = project.run("--var-file", str(tmp_path / "v.json"), "--thers")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert sum("unrecognized arguments: --thers" in line for line in result.errlines) == 1


def test_only_values_of_ours_that_are_there_are_joined(tmp_path: Path) -> None:
    here = str(tmp_path)
    assert joined(["--var-file", here, "-k", here, here]) == [
        f"--var-file={here}",
        "-k",
        here,
        here,
    ]
    assert joined(["--only", here, "--only", "nothing-like-it"]) == [
        f"--only={here}",
        "--only",
        "nothing-like-it",
    ]
    for same in (["--var-file"], ["--", "--var-file", here], [f"--var-file={here}", here]):
        assert joined(same) == same
