"""The script that a provisioning call becomes, run by a real sh."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from harness import script
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def run(made: script.Script, tmp_path: Path) -> tuple[int, str, str]:
    """Exit status, output, and which command the script says has failed."""
    file = tmp_path / "script"
    file.write_text(made.text)
    done = subprocess.run(
        ["/bin/sh", "-e", str(file)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    step = tmp_path / "script.step"
    return done.returncode, done.stdout, made.step(step.read_text() if step.exists() else "")


def test_commands_share_variables_and_directory(tmp_path: Path) -> None:
    made = script.of_commands(["x=1", "cd /", 'echo "$x $PWD"'])
    assert run(made, tmp_path)[:2] == (0, "1 /\n")
    assert not (tmp_path / "script.step").exists()


@pytest.mark.parametrize("failing", ["false", "(exit 7)", "exit 7", "no-such-program-at-all"])
def test_the_first_that_fails_ends_it_and_is_known(tmp_path: Path, failing: str) -> None:
    made = script.of_commands(["echo before", failing, "echo after"])
    status, output, step = run(made, tmp_path)
    assert status != 0
    assert output == "before\n"
    assert step == failing


@pytest.mark.parametrize(
    ("commands", "output"),
    [
        (["if true; then", "echo yes", "fi"], "yes\n"),
        (["cat <<END", "harness_step", "END"], "harness_step\n"),
        (["echo 'a", "b'"], "a\nb\n"),
        (["echo a \\", "b"], "a b\n"),
        (["f() {", "echo in f", "}", "f"], "in f\n"),
    ],
)
def test_commands_that_only_together_make_sense_stay_together(
    tmp_path: Path, commands: list[str], output: str
) -> None:
    assert run(script.of_commands(commands), tmp_path)[:2] == (0, output)


def test_environment_and_directory_come_first(tmp_path: Path) -> None:
    value = 'it\'s $HOME; `ls` "x"\nnext line'
    made = script.of_commands(['printf %s "$VALUE"', "pwd"], env={"VALUE": value}, cwd="/usr")
    assert run(made, tmp_path)[1] == f"{value}/usr\n"


@pytest.mark.parametrize(
    ("first", "missing"),
    [
        ("#!/opt/no-such -x", "/opt/no-such"),
        ("#!/usr/bin/env no-such-python", "no-such-python"),
        ("#!/usr/bin/env -S no-such-python -u", "no-such-python"),
    ],
)
def test_an_interpreter_that_is_not_there(tmp_path: Path, first: str, missing: str) -> None:
    made = script.of_file(f"{first}\n".encode(), "script it's.sh", "/tmp/x", None, None)
    (tmp_path / "script").write_text(made.text)
    done = subprocess.run(
        ["/bin/sh", "-e", "script"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    told = f"script it's.sh: its #! line names {missing}, which is not there\n"
    assert (done.returncode, done.stderr) == (127, told)


@pytest.mark.parametrize("text", ["#!/bin/sh\r\necho\r\n", "echo a\r\necho b\r\n"])
def test_windows_line_ends_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "set-up.sh").write_bytes(text.encode())
    told = r"script .*/set-up.sh: its lines end as on Windows .*sed -i 's/\\r\$//' .*/set-up.sh"
    with pytest.raises(ConfigurationError, match=told):
        script.content(tmp_path / "set-up.sh")
    (tmp_path / "set-up.sh").write_bytes(b"#!/bin/sh\nprintf 'GET /\r\n'\n")
    assert script.content(tmp_path / "set-up.sh")


def test_a_bad_name_of_a_variable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="env: '1X' is no name"):
        script.of_commands(["true"], env={"1X": ""})


@pytest.mark.parametrize(
    ("content", "argv"),
    [
        (b"echo\n", ["/bin/sh", "-e"]),
        (b"#!/bin/bash\necho\n", ["/bin/bash"]),
        (b"#! /usr/bin/env python3\n", ["/usr/bin/env", "python3"]),
        (b"#!/bin/bash -eux -o pipefail\n", ["/bin/bash", "-eux -o pipefail"]),
        (b"#!\n", ["/bin/sh", "-e"]),
    ],
)
def test_interpreter(content: bytes, argv: list[str]) -> None:
    assert script.interpreter(content) == argv
