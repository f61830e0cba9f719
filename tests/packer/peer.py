"""Debian's Packer 1.6.6 and what it makes of templates, to hold ours against.

Its `null` builder needs no machine, and its `shell-local` writes what it renders into files. Each
part of Packer is a process of its own with its own idea of when the run started, so each step tells
its instant too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness import packer
from tests.packer import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.packer import Step

_NOW = "{{isotime `2006-01-02T15:04:05.000000Z`}}"
_HEREDOC = re.compile(r"cat > (\S+) <<'_E_N_D_'\n(.*)\n_E_N_D_", re.DOTALL)
FILE = "echo.json"
NOT_IN_NULL = re.compile(r"\bclean_|\.CreateTime|packer_version|uuid")
"""What the null builder of 1.6.6 does not have, or makes differently each time."""

Files = dict[str, str]


def run(
    command: str, template: Path, *options: str, lines: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run one of Packer's commands on a template, in its folder and the corpus's environment."""
    own = {
        "PATH": os.environ["PATH"],
        "CHECKPOINT_DISABLE": "1",
        "PACKER_CONFIG_DIR": str(template.parent),
        "TMPDIR": str(template.parent),
    }
    return subprocess.run(
        ["packer", command, *options, template.name],
        cwd=template.parent,
        env=corpus.ENVIRONMENT | own,
        input=lines,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def accepts(template: Path, *options: str) -> bool:
    """Whether `packer validate` does."""
    return run("validate", template, *options).returncode == 0


def inspect(template: Path) -> dict[str, list[tuple[str, ...]]]:
    """What `packer inspect` lists: the fields of its lines, by their kind.

    Raises:
        CalledProcessError: Packer does not take the template.
    """
    result = run("inspect", template, "-machine-readable")
    result.check_returncode()
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in result.stdout.splitlines():
        _, _, kind, *fields = (part.replace("%!(PACKER_COMMA)", ",") for part in line.split(","))
        found.setdefault(kind, []).append(tuple(fields))
    return found


def complaints(folder: Path, texts: Sequence[str], variables: Mapping[str, str]) -> int:
    """How many of the texts Packer's console finds wrong."""
    file = folder / "console.json"
    file.write_text(json.dumps(of_texts([], variables)), "utf-8")
    result = run("console", file, lines="".join(f"{text}\n" for text in texts))
    return result.stdout.count("Interpolation error")


def build(
    template: Mapping[str, Any],
    folder: Path,
    given: Mapping[str, str],
    options: Sequence[str] | None = None,
) -> Files:
    """What Packer renders of a template that `echo` has made, by file."""
    for path in folder.glob("*.out"):
        path.unlink()
    (folder / FILE).write_text(json.dumps(template), "utf-8")
    (folder / "given.json").write_text(json.dumps(given), "utf-8")
    result = run("build", folder / FILE, "-color=false", *(options or ["-var-file=given.json"]))
    assert result.returncode == 0, result.stdout + result.stderr
    return {path.name: path.read_text("utf-8")[:-1] for path in folder.glob("*.out")}


def values(
    template: Mapping[str, Any],
    folder: Path,
    given: Mapping[str, str],
    options: Sequence[str] | None = None,
) -> tuple[Files, Files]:
    """What Packer and we render, by file, of a template that `echo` has made.

    Packer gets the ``given`` values in a file, or by the ``options``.
    """
    theirs = build(template, folder, given, options)
    ours = dict(_ours(folder / FILE, given, theirs))
    return {name: theirs.get(name, "missing") for name in ours}, ours


def _ours(file: Path, given: Mapping[str, str], theirs: Files) -> Iterator[tuple[str, str]]:
    read = packer.read(file.read_bytes(), file.name)
    started = _instant(next(text for name, text in theirs.items() if name.endswith(".core.out")))
    prepared = packer.prepare(read, given, corpus.facts(file, started, file.parent))
    for name in prepared.builders:
        for index, step in enumerate(prepared.plan(name).provisioners):
            at = [written for written, _ in _heredocs(step, name)]
            instant = next(_instant(theirs[n]) for n in at if n.endswith(".at.out"))
            facts = corpus.facts(file, instant, file.parent)
            then = dataclasses.replace(prepared, facts=facts).plan(name).provisioners[index]
            yield from _heredocs(then, name)


def _heredocs(step: Step, build: str) -> Iterator[tuple[str, str]]:
    """The files that a step writes, with what we render into them."""
    for text in corpus.text_values(step.component.options.values()):
        if isinstance(text.data, str) and (match := _HEREDOC.fullmatch(text.data)):
            yield match[1].replace("$PACKER_BUILD_NAME", build), match[2]


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def echo(template: Mapping[str, Any]) -> dict[str, Any]:
    """The same template for null builders, with steps that write all its texts into files."""
    names = [str(b.get("name") or b["type"]) for b in template["builders"]]
    steps = [
        ({"only": [name]}, list(_texts(builder)))
        for name, builder in zip(names, template["builders"], strict=True)
    ]
    for provisioner in template.get("provisioners") or []:
        choice = {key: provisioner[key] for key in ("only", "except") if key in provisioner}
        if choice == steps[-1][0]:  # of one process: each costs
            steps[-1][1].extend(_texts(provisioner))
        else:
            steps.append((choice, list(_texts(provisioner))))
    return {
        "variables": {"core instant": _NOW, **template.get("variables", {})},
        "builders": [{"type": "null", "communicator": "none", "name": name} for name in names],
        "provisioners": [
            {"type": "shell-local", **choice, "inline": _cats(f"p{index}", texts)}
            for index, (choice, texts) in enumerate(steps)
        ],
    }


def of_texts(
    texts: Sequence[str], variables: Mapping[str, str | None], *, everything: bool = False
) -> dict[str, Any]:
    """A template that writes texts into files; all of them, or those that `echo` takes."""
    step = {"type": "shell-local", "texts": [] if everything else list(texts)}
    made = echo({"variables": variables, "builders": [{"type": "null"}], "provisioners": [step]})
    if everything:
        made["provisioners"][-1]["inline"] = _cats("p1", texts)
    return made


def _cats(name: str, texts: Sequence[str]) -> list[str]:
    instants = [_cat(f"{name}.at", _NOW), _cat("core", "{{user `core instant`}}")]
    return instants + [_cat(f"{name}.{i}", text) for i, text in enumerate(texts)]


def _cat(name: str, text: str) -> str:
    return f"cat > $PACKER_BUILD_NAME.{name}.out <<'_E_N_D_'\n{text}\n_E_N_D_"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str) and not NOT_IN_NULL.search(value):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, dict):
        for name, entry in value.items():
            if name not in ("name", "type", "only", "except", "override", "build"):
                yield from _texts(entry)
