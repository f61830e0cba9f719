"""`harness validate` and `harness inspect`: what builds are, and what is wrong with them.

Nothing is created. Both collect as pytest does, and take its options.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from harness.definition import source_name
from harness.plugin.examination import Examination

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from harness.plugin.collection import CollectedBuild
    from harness.sources.base import Source
    from harness.variables import Variable

_USAGE = "%(prog)s [-h] [--json] [PATH ...] [options of pytest, as --only GLOB]"

USAGE_ERROR = 2
"""The exit status where the command line itself is wrong, as for all verbs."""


def add_to(verbs: Any) -> None:
    """Add the verbs to the command's others."""
    for verb, run, does in (
        ("validate", _validate, "say all that is wrong with builds; exit status 0: nothing is"),
        ("inspect", _inspect, "show builds, their sources, tests, and what follows their images"),
    ):
        text = f"{does}. Nothing is created. Default for PATH: the folder builds, if it is there"
        parser = verbs.add_parser(
            verb, help=does, description=text, usage=_USAGE, allow_abbrev=False
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.set_defaults(run=run, pytest=[])


def _validate(options: argparse.Namespace) -> int:
    found = Examination()
    if not found.run(options.pytest):
        return USAGE_ERROR
    valid = not found.problems
    if options.json:
        told = {"problems": found.problems, "warnings": found.warnings}
        _print_json({"valid": valid, "builds": found.names, **told})
        return 0 if valid else 1
    for warning in found.warnings:
        print(f"harness: {warning}", file=sys.stderr)  # noqa: T201 - a command's output
    for problem in found.problems:
        print(problem)  # noqa: T201 - a command's output
    if valid:
        print(f"valid: {', '.join(found.names)}")  # noqa: T201 - as above
    return 0 if valid else 1


def _inspect(options: argparse.Namespace) -> int:
    builds: list[CollectedBuild] = []
    found = Examination(builds.extend)
    if not found.run(options.pytest):
        return USAGE_ERROR
    described = [_described(build) for build in builds]
    if options.json:
        _print_json({"builds": described, "problems": found.problems})
    else:
        for entry in described:
            _print_entry(entry)
        for problem in found.problems:
            print(f"harness: {problem}", file=sys.stderr)  # noqa: T201 - a command's output
    return 1 if found.problems else 0


def _described(build: CollectedBuild) -> dict[str, Any]:
    definition = build.definition
    return {
        "build": build.name,
        "file": os.path.relpath(next(iter(definition.files), definition.file)),
        "line": 1 if definition.files else definition.origin.line,
        "description": inspect.getdoc(definition.function) or "",
        "source": {
            "type": build.source.type,
            "name": source_name(build.source),
            "options": _given(build.source),
        },
        "provisioners": list(definition.provisioners.get(source_name(build.source), ())),
        "variables": [_variable(v) for _, v in sorted(build.variables.declared.items())],
        "tests": build.tests,
        "after_image": [follower.name for follower in definition.followers],
    }


def _variable(variable: Variable) -> dict[str, Any]:
    shown = {"name": variable.name, "required": not variable.has_default}
    if variable.sensitive:
        return {**shown, "sensitive": True}
    return {**shown, "default": variable.default} if variable.has_default else shown


def _given(source: Source) -> dict[str, Any]:
    """The options that are not as they are by default."""
    shown = source.options()
    return {
        option.name: shown[option.name]
        for option in fields(source)  # type: ignore[arg-type]  # a source is a dataclass
        if option.name in shown and option.name != "name"
        if getattr(source, option.name) != _default(option)
    }


def _default(option: Any) -> object:
    return option.default_factory() if option.default is MISSING else option.default


def _print_entry(entry: dict[str, Any]) -> None:
    print("\n".join([entry["build"], *(f"  {line}".rstrip() for line in _lines(entry))]))  # noqa: T201 - a command's output


def _lines(entry: dict[str, Any]) -> Iterator[str]:
    source = entry["source"]
    options = ", ".join(f"{name}={value!r}" for name, value in source["options"].items())
    yield from entry["description"].splitlines()
    yield f"source: {source['type']}{f' ({options})' if options else ''}"
    yield f"provisioned by: {entry['file']}:{entry['line']}"
    yield from (f"  {kind}" for kind in entry["provisioners"])
    if entry["variables"]:
        yield f"variables: {', '.join(map(_shown_variable, entry['variables']))}"
    yield f"tests: {len(entry['tests'])}"
    yield from (f"  {test}" for test in entry["tests"])
    if entry["after_image"]:
        yield f"after image: {', '.join(entry['after_image'])}"


def _shown_variable(variable: dict[str, Any]) -> str:
    name: str = variable["name"]
    if "default" in variable:
        return f"{name}={variable['default']!r}"
    words = [word for word in ("required", "sensitive") if variable.get(word)]
    return f"{name} ({', '.join(words)})" if words else name


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, default=str))  # noqa: T201 - a command's output
