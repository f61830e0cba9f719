"""Where we differ from Packer 1.6.6 on purpose, each with its reason (see test_differences)."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

REFUSED = {
    "undefined-variable": "an undefined variable renders nothing in Packer: a typo goes unnoticed",
    "sensitive-unknown": "a typo there would show the secret",
    "nanoseconds": "Packer takes a bare number for nanoseconds, which nobody means",
    "same-build": "Packer drops one of two builders whose names come to the same",
    "field-in-name": 'Packer calls the build "<no value>"',
    "latin-1": "Packer puts U+FFFD for bytes that are no UTF-8",
    "half-a-pair": "Packer puts U+FFFD for half of a surrogate pair",
    "range": "range, with and variables are not supported: templates have no lists to go through",
}
"""Broken templates of the corpus that Packer takes."""


class Text(NamedTuple):
    """A text of a provisioner: what Packer makes of it, and we. None: we refuse it."""

    text: str
    theirs: str
    ours: str | None
    reason: str


VARIABLES = {"field": "{{.Port}}"}
TEXTS = [
    Text("{{.Nosuch}}", "<no value>", "<Nosuch>", "where a field is not known we say so"),
    Text("{{user `field`}}", "<no value>", "<Port>", "kept until it is used, as Packer 1.7 does"),
    Text('{{"{{upper `x`}}"}}', "X", "{{upper `x`}}", "shell-local renders a second time"),
    Text("{{printf `%s` true}}", "%!s(bool=true)", None, "it is a mistake, and looks like one"),
    Text("{{printf `%d` `x`}}", "%!d(string=x)", None, "it is a mistake, and looks like one"),
    Text("{{strftime `%q`}}", "%q", None, "a code that there is not is a typo"),
    Text("{{`x`|}}", "x", None, "a pipe into nothing is a typo; later Packers refuse it"),
    Text("{{'a'}}", "97", None, "it was meant for a string"),
    Text("{{1.50}}", "1.5", None, "no function takes such a number"),
    Text("{{len `abc`}}", "3", None, "no template was seen to use it, as others of Go's"),
    Text("{{packer_version}}", "1.6.6", "1.16.0", "what we call ourselves"),
]

_BUILDERS = [{"type": "null", "communicator": "none"}]
_STEP = {"type": "shell-local", "inline": ["true"]}


def _template(**entries: Any) -> str:
    return json.dumps({"builders": _BUILDERS, **entries})


def _step(**options: Any) -> str:
    return _template(provisioners=[_STEP | options])


class Verdict(NamedTuple):
    """A template that one of us refuses."""

    template: str
    theirs: bool
    reason: str


VERDICTS = {
    "case": Verdict(json.dumps({"Builders": _BUILDERS}), True, "names are as they are documented"),
    "nesting": Verdict(
        _template(push={"a": json.loads("[" * 150 + "]" * 150)}), True, "no template is so deep"
    ),
    "size": Verdict(_template(description="x" * 200_000), True, "no template is so large"),
    "negative pause": Verdict(_step(pause_before="-1s"), True, "Packer takes it for none"),
    "negative retries": Verdict(_step(max_retries=-1), True, "Packer takes it for none"),
    "version": Verdict(_template(min_packer_version="1.16.0"), False, "we call ourselves that"),
}

OTHERS = {
    "lists in overrides": "1.6.6 replaces the first entries alone; we the list, as documented",
    "large numbers": "Packer rounds whole numbers beyond 2**53",
    "given values that use variables": "1.6.6 may take a value before its expressions are "
    "rendered, depending on the order of names; we take what it comes to",
    "null in a variable file": "Packer takes it for an empty string; our caller gives strings",
    "null for a builder": "1.6.6 crashes",
    "env of what is not set": "Packer takes it for an empty string, which some API then complains "
    "of; it is an error where such a variable is used, save in if, and, or, not, eq and ne",
}
"""What is no single text or template."""
