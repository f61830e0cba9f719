"""Files that would take a careless reader very long, or down."""

from __future__ import annotations

import json
from typing import Any

SIZE = 125_000
"""Bytes: just what is still read."""


def _template(**entries: Any) -> bytes:
    builders = [{"type": "null", "communicator": "none"}]
    return json.dumps({"builders": builders, **entries}).encode()


def _text(text: str) -> bytes:
    """A template that has the text in a provisioner."""
    provisioner = {"type": "shell-local", "inline": [text]}
    return _template(variables={"a": "x"}, provisioners=[provisioner])


def _filled(part: str) -> str:
    return part * (SIZE // len(json.dumps(part)))


def _doubling(seed: str, times: int) -> bytes:
    variables = {"v0": seed}
    for index in range(1, times):
        variables[f"v{index}"] = f"{{{{user `v{index - 1}`}}}}{{{{user `v{index - 1}`}}}}"
    provisioner = {"type": "shell-local", "inline": [f"{{{{user `v{times - 1}`}}}}"]}
    return _template(variables=variables, provisioners=[provisioner])


_SHARED = {"v": "x" * 100_000}
_NAMES = [f"builder-number-{index:05}" for index in range(2000)]

FILES = {
    "opened lists": b"[" * SIZE,
    "a megabyte": b"[" * 1_000_000,
    "opened objects": b'{"a":' * (SIZE // 5),
    "numbers": b"[" + b"0," * (SIZE // 2 - 1) + b"0]",
    "a long number": b"1" * SIZE,
    "a long fraction": b"0." + b"1" * SIZE,
    "a long exponent": b"1e" + b"1" * SIZE,
    "an unclosed string": b'"' + b"\\n" * (SIZE // 2),
    "lines": b"\n" * SIZE,
    "spaces": b" " * SIZE,
    "a long name": b'{"' + b"b" * SIZE + b'": 1}',
    "zeros": b"\0" * SIZE,
    "not UTF-8": b"[" + b" " * SIZE + b"\xff",
    "opened braces": _text(_filled("{{")),
    "opened parentheses": _text("{{" + "(" * SIZE),
    "pipes": _text("{{`a`" + _filled(" | upper") + "}}"),
    "ifs": _text(_filled("{{if true}}")),
    "else ifs": _text("{{if false}}" + _filled("{{else if false}}") + "{{end}}"),
    "calls": _text(_filled("{{upper `a`}}")),
    "arguments": _text("{{or " + _filled("`` ") + "}}"),
    "comments": _text(_filled("{{/*")),
    "fields": _text(_filled("{{.A}}")),
    "trims": _text(_filled("{{- `a` -}} ")),
    "clean names": _text(_filled("{{clean_ami_name")),
    "large replacements": _text("{{replace_all `` (printf `%0999d` 1) (printf `%0999d` 1)}}" * 50),
    "large widths": _text("{{printf `%999999999d` 1}}"),
    "a layout": _text("{{isotime `" + "." + "0" * (SIZE - 200) + "`}}"),
    "a large minimum": _template(min_packer_version="9" * (SIZE - 200)),
    "a long duration": _template(provisioners=[{"type": "x", "timeout": "1h" * (SIZE // 3)}]),
    "many retries": _template(provisioners=[{"type": "x", "max_retries": "9" * (SIZE - 200)}]),
    "doubled texts": _doubling("x", 60),
    "doubled fields": _doubling("{{.A}}", 45),
    "doubled nothing": _doubling("", 60),
    "doubled empty fields": _doubling("{{if .A}}{{end}}", 45),
    "a chain": _template(
        variables={f"v{i}": f"{{{{user `v{i + 1}`}}}}" for i in range(3000)} | {"v3000": "x"}
    ),
    "a chain of fields": _template(
        variables={f"v{i}": f"{{{{user `v{i + 1}`}}}}" for i in range(3000)} | {"v3000": "{{.A}}"}
    ),
    "a circle": _template(
        variables={f"v{i}": f"{{{{user `v{(i + 1) % 3000}`}}}}" for i in range(3000)}
    ),
    "one text often": _template(
        variables=_SHARED,
        provisioners=[{"type": "x", "inline": ["{{user `v`}}{{user `v` | upper}}"] * 400}],
    ),
    "builders": json.dumps(
        {
            "builders": [{"type": "null", "name": name} for name in _NAMES],
            "provisioners": [{"type": "x", "only": ["bilder-number"]}],
        }
    ).encode(),
    "twice": b'{"a": 1, "' + b"a" * SIZE + b'": 1, "a": 2}',
}
