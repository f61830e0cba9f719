"""The shell script that one provisioning call becomes."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import environment
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

# Which command of several failed: a variable that is not exported, and a trap that writes it
# down. Costs nothing on the machine where all goes well.
_TRAP = """trap '[ "$?" = 0 ] || echo "$harness_step" >{report}' EXIT"""
BESIDE = '"$0.step"'
"""Where it is written by default: beside the script."""

_SHELL = ("/bin/sh", "-e")
_NEEDED = """command -v {name} >/dev/null || {{
  printf '%s: its #! line names %s, which is not there\\n' {title} {name} >&2; exit 127
}}"""
_CD = """cd {cwd} 2>/dev/null || {{
  why='does not exist'; [ ! -e {cwd} ] || why='is no folder that may be entered'
  printf 'cwd=%s %s on the machine\\n' {shown} "$why" >&2; exit 1
}}"""


@dataclass(frozen=True)
class Script:
    """What is sent (``text``), what a person is told (``title``), and what can fail on its own."""

    text: str
    title: str
    steps: tuple[str, ...] = ()

    def step(self, answer: str) -> str:
        """The command that failed, from what the script wrote down."""
        number = answer.strip()
        return self.steps[int(number)] if number.isdigit() and self.steps else self.title


def of_commands(
    commands: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    report: str = BESIDE,
) -> Script:
    """The commands as one `/bin/sh -e` script; ``report`` is a shell word, see `Script.step`.

    Commands that only together make sense (an ``if`` in one, its ``fi`` in another; a here-document
    over several) are joined as they are: such a script can only fail as a whole.
    """
    head, title = prelude(env, cwd), "\n".join(commands)
    if not all(_stands_alone(command) for command in commands):
        return Script("\n".join([*head, *commands, ""]), title)
    body = [line for n, c in enumerate(commands) for line in (f"harness_step={n}", c)]
    trap = _TRAP.format(report=report)
    return Script("\n".join([trap, *head, *body, ""]), title, tuple(commands))


def of_file(
    content: bytes, title: str, path: str, env: Mapping[str, str] | None, cwd: str | None
) -> Script:
    """A script that runs the script file which lies at ``path`` on the machine."""
    words = interpreter(content)
    checks = [
        _NEEDED.format(name=shlex.quote(name), title=shlex.quote(title))
        for name in _programs(words)
    ]
    run = shlex.join(["exec", *words, path])
    return Script("\n".join([*prelude(env, cwd), *checks, run, ""]), title)


def content(path: Path) -> bytes:
    """A script file's text.

    Raises:
        ConfigurationError: there is no such file, or its lines end as on Windows.
    """
    if not path.is_file():
        raise ConfigurationError(f"script {path} does not exist or is no file")
    text = path.read_bytes()
    if text.partition(b"\n")[0].endswith(b"\r"):
        raise ConfigurationError(
            f"script {path}: its lines end as on Windows (CRLF), which no shell understands: "
            f"convert it with `sed -i 's/\\r$//' {path}`; where git makes them so, "
            f"put the line `{path.name} text eol=lf` into .gitattributes"
        )
    return text


def prelude(env: Mapping[str, str] | None, cwd: str | None) -> list[str]:
    """The lines that set the environment and the working directory."""
    for name in env or {}:
        if not _NAME.match(name):
            raise ConfigurationError(
                f"env: {name!r} is no name of an environment variable: "
                "letters, digits and _ only, no digit first"
            )
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in (env or {}).items()]
    return (
        [*lines, _CD.format(cwd=shlex.quote(cwd), shown=shlex.quote(repr(cwd)))] if cwd else lines
    )


def interpreter(script: bytes) -> list[str]:
    """What runs a script file: its ``#!`` line, split as the kernel does, or `/bin/sh -e`."""
    first = script.split(b"\n", 1)[0]
    words = first[2:].decode(errors="replace").strip().split(None, 1)
    return words if first.startswith(b"#!") and words else [*_SHELL]


def _programs(words: list[str]) -> list[str]:
    """What a ``#!`` line needs: its program, and what ``env`` is to find; nothing for our own."""
    found = words[:1]
    if words[0].endswith("/env") and words[1:] and "=" not in words[1]:
        found += [word for word in words[1].split() if not word.startswith("-")][:1]
    return [name for name in found if name != _SHELL[0]]


@functools.lru_cache(maxsize=1000)  # every build's seal has the same
def _stands_alone(command: str) -> bool:
    if "<<" in command or command.rstrip(" \t").endswith("\\"):
        return False
    text = command.encode(errors="surrogateescape")
    check = subprocess.run(
        ["/bin/sh", "-n"],
        input=text,
        capture_output=True,
        check=False,
        env=environment.snapshot(),
    )
    return check.returncode == 0
