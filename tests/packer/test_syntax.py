"""What of Go's templates there is not is refused by name, and where it stands."""

from __future__ import annotations

import pytest

from harness.packer.lexer import ExpressionError
from harness.packer.syntax import parse


@pytest.mark.parametrize(
    ("text", "index", "message"),
    [
        ("a {{ $x := 1 }}", 5, "variables of Go's templates are not supported"),
        ("{{.Vars.x}}", 7, "fields of values are not supported"),
        ("{{(user `a`).b}}", 12, "fields of values are not supported"),
        ("{{.}}", 2, "the dot alone is not supported: name a field, as in {{.Path}}"),
        ("{{range .A}}", 2, "'range' is not supported here"),
        ("{{with .A}}", 2, "'with' is not supported here"),
        ("{{template `a`}}", 2, "'template' is not supported here"),
        ("{{nil}}", 2, "'nil' is not supported here"),
        ("{{upper if}}", 8, "'if' is not supported here"),
        ("{{1.5}}", 2, "1.5 is no whole number"),
        ("{{0x10}}", 2, "0x10 is no whole number"),
        ("{{'a'}}", 2, 'strings stand in backquotes or double quotes: `x`, "x"'),
        ("{{user `a`", 0, "these braces are never closed"),
        ("{{user `a}}", 7, "this string has no end"),
        ('{{user "a\\q"}}', 9, "a string has no escape \\q"),
        ('{{"\\xff"}}', 3, "a string has no escape \\x"),
        ("{{ }}", 0, "there is nothing between these braces"),
        ("{{/* a }}", 0, "this comment must end in */}}"),
        ("{{upper(`a`)}}", 7, "a space is missing here"),
        ("{{user`a`}}", 6, "a space is missing here"),
        ("{{(user `a`}}", 2, "this parenthesis is never closed"),
        ("{{user `a`)}}", 10, "')' is not expected here"),
        ("{{`a` `b`}}", 2, "`a` is no function: it takes no arguments"),
        ("{{`a` | `b`}}", 8, "`b` is no function: it takes no arguments"),
        ("{{`a` |}}", 0, "a function is missing here"),
        ("{{if true}}a", 0, "this if has no {{end}}"),
        ("a{{end}}", 1, "this has no if"),
        ("{{if true}}{{else}}{{else}}{{end}}", 19, "this if has a second else"),
        ("{{if true}}{{else `a`}}{{end}}", 18, "'`a`' is not expected here"),
        ("{{user `a` ; }}", 11, "';' cannot stand in an expression"),
        ("{{" + "(" * 60 + "`a`" + ")" * 60 + "}}", 0, "nested more than 50 deep"),
    ],
)
def test_what_is_refused(text: str, index: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.index, caught.value.message) == (index, message)


@pytest.mark.parametrize("text", ["", "a", "}} a {", "{ {user `a`} }", "a\n%"])
def test_texts_without_actions_are_themselves(text: str) -> None:
    assert "".join(map(str, parse(text))) == text
