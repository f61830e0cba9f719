"""Generated expressions, right and wrong, and values of variables."""

from __future__ import annotations

import json

from hypothesis import strategies as st

VARIABLES = {"name": "Webserver", "version": "1.2.3", "empty": "", "österreich": "ÄÖÜ ß \u017f Ǆ"}

_LETTERS = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="{}`\u2028\u2029"
)
_TEXTS = st.text(_LETTERS, max_size=8) | st.sampled_from(["a-b-c", "x,y", "banana", "ǆ", "İI", "%"])
# Fractions of six digits at most: what Python knows of an instant.
_ELEMENTS = """
    2006 06 01 1 02 2 _2 __2 002 Jan January Mon Monday 15 03 3 04 4 05 5 PM pm MST
    Z0700 Z07:00 Z07 Z070000 Z07:00:00 -0700 -07:00 -07 -070000 -07:00:00
    .000 .999999 .0001 ,000 - / : T t , x Janet Mondays 20 1506 _2006
"""
_LAYOUTS = st.lists(st.sampled_from([*_ELEMENTS.split(), " "]), max_size=8).map("".join)
_CODES = "%Y %m %d %H %M %S %a %A %b %B %I %p %y %z %Z %% - x"


def _quoted(text: str) -> str:
    """A literal: in backquotes, or in double quotes where Go and JSON agree."""
    return f"`{text}`" if len(text) % 2 else json.dumps(text, ensure_ascii=False)


_LITERALS = _TEXTS.map(_quoted)
_ATOMS = (
    _LITERALS
    | st.sampled_from([f"user `{name}`" for name in VARIABLES])
    | _LAYOUTS.map(lambda layout: f"isotime {_quoted(layout)}")
    | st.lists(st.sampled_from(_CODES.split())).map(lambda c: f"strftime {_quoted(''.join(c))}")
    | st.sampled_from(["timestamp", "build_name", "build_type", "pwd", "template_dir", "isotime"])
)


def _calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    argument = inner.map(lambda text: f"({text})")
    number = st.integers(-2, 4)
    return st.one_of(
        st.builds("upper {}".format, argument),
        st.builds("{} | lower".format, inner),
        st.builds("replace_all {} {} {}".format, _LITERALS, _LITERALS, argument),
        st.builds("replace {} {} {} {}".format, _LITERALS, _LITERALS, number, argument),
        st.builds("split {} {} {}".format, argument, _LITERALS, number),
        st.builds("printf `%v|%v|%5d|%-6s|%%` {} {} {} `x`".format, argument, argument, number),
        st.builds("or (and {} {}) `none`".format, argument, argument),
        st.builds("eq {} {}".format, argument, argument),
    )


_EXPRESSIONS = st.recursive(_ATOMS, _calls, max_leaves=5)
_CONDITIONS = st.builds(
    "a {{{{- if {} -}}}} b {{{{else if {}}}}} c {{{{- else}}}} d {{{{end -}}}} e".format,
    _EXPRESSIONS,
    _EXPRESSIONS,
)
_MISTAKES = """
    {{user}} {{upper}} {{nosuch}} {{ {{` {{(}} {{upper(`x`)}} {{3|upper}} {{"\\q"}} {{if}}
    {{end}} {{|}} {{else}} {{/*x}} {{`a`.b}}
"""
_MORE_MISTAKES = [
    *("{{upper `a` `b`}}", "{{if true}}", "{{ }}", "{{/* x }}", "{{`a` `b`}}", "{{upper 1}}"),
    *("{{eq 1 `a`}}", "{{split `a` 1 `b`}}", "{{env `HOME`}}", "{{replace `a` `b` `c`}}"),
    *("{{if true}}{{else}}{{else}}{{end}}", "{{upper `a` | 3}}", "{{upper `a`", "{{ (`a` }}"),
]
BATCHES = st.lists(
    _EXPRESSIONS.map(lambda text: f"{{{{ {text} }}}}")
    | _CONDITIONS
    | st.sampled_from([*_MISTAKES.split(), *_MORE_MISTAKES]),
    min_size=25,
    max_size=40,
)
"""Texts with expressions, many enough to be worth a process."""

NAMES = st.sampled_from("abcd")
# No given value uses another: see differences.OTHERS.
VALUES = st.lists(
    _TEXTS | st.sampled_from(["\t", '"', "\\", "'$HOME'", "}}", ","]), max_size=3
).map("".join)
DEFAULTS = st.lists(
    VALUES
    | st.sampled_from(["{{user `a`}}", "{{ user `b` | upper }}", "{{env `HOME`}}", "{{upper `x`}}"])
    | st.sampled_from(
        ["{{or (env `NONE`) `none`}}", "{{user `c`}}{{user `c`}}", "{{user `d` }}", "{{wrong}}"]
    ),
    max_size=3,
).map("".join)
