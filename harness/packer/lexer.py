"""Texts taken apart: what stands as it is, and the words between double braces."""

from __future__ import annotations

import re
from typing import NamedTuple


class ExpressionError(Exception):
    """Something is wrong at a character of a text; `Value.error_in` tells where that is."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.message = message


class NoValueError(ExpressionError):
    """What stands there has no value; the message says how to give it one.

    ``unset`` is the variable of the environment that it would be from, if that is why.
    """

    def __init__(self, index: int, message: str, unset: str = "") -> None:
        super().__init__(index, message)
        self.unset = unset


class Word(NamedTuple):
    kind: str
    """quoted, raw, number, field, name, pipe, left, right, or space."""
    text: str
    at: int


class Braces(NamedTuple):
    """What stands in one pair of double braces."""

    words: list[Word]
    at: int


_BLANK = " \t\r\n"
_OPEN = re.compile(r"\{\{(-(?=[ \t\r\n]))?")
_WORD = re.compile(
    r"""(?P<close>[ \t\r\n]-\}\}|\}\})
    |(?P<space>(?:[ \t\r\n](?!-\}\}))++)
    |(?P<quoted>"(?:[^"\\\n]|\\.)*+")
    |(?P<raw>`[^`]*+`)
    |(?P<number>[+-]?[0-9][0-9A-Za-z_.]*+)
    |(?P<field>\.[A-Za-z_][A-Za-z0-9_]*+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*+)
    |(?P<pipe>\|)|(?P<left>\()|(?P<right>\))""",
    re.VERBOSE,
)
_REFUSED = {
    '"': "this string has no end",
    "`": "this string has no end",
    "'": 'strings stand in backquotes or double quotes: `x`, "x"',
    ".": "the dot alone is not supported: name a field, as in {{.Path}}",
    **dict.fromkeys("$:=", "variables of Go's templates are not supported"),
}


def split(text: str) -> list[str | Braces]:
    """The parts of a text, in order; comments are left out, trim markers obeyed.

    Raises:
        ExpressionError: braces that are never closed or empty, or what no word begins with.
    """
    parts: list[str | Braces] = []
    at, trim = 0, False
    while opened := _OPEN.search(text, at):
        before = text[at : opened.start()]
        before = before.lstrip(_BLANK) if trim else before
        parts.append(before.rstrip(_BLANK) if opened[1] else before)
        words, close = _comment(text, opened) or _words(text, opened)
        if words:
            parts.append(Braces(words, opened.start()))
        at, trim = close.end(), close[0] != "}}"
    parts.append(text[at:].lstrip(_BLANK) if trim else text[at:])
    return [part for part in parts if part]


def _comment(text: str, opened: re.Match[str]) -> tuple[list[Word], re.Match[str]] | None:
    at = opened.end() + (1 if opened[1] else 0)
    if not text.startswith("/*", at):
        return None
    end = text.find("*/", at + 2)
    close = _WORD.match(text, end + 2) if end >= 0 else None
    if not close or close.lastgroup != "close":
        raise ExpressionError(opened.start(), "this comment must end in */}}")
    return [], close


def _words(text: str, opened: re.Match[str]) -> tuple[list[Word], re.Match[str]]:
    words: list[Word] = []
    at = opened.end()
    while word := _WORD.match(text, at):
        if word.lastgroup == "close":
            if all(known.kind == "space" for known in words):
                raise ExpressionError(opened.start(), "there is nothing between these braces")
            return words, word
        words.append(Word(str(word.lastgroup), word[0], at))
        at = word.end()
    if at == len(text):
        raise ExpressionError(opened.start(), "these braces are never closed")
    found = text[at]
    raise ExpressionError(at, _REFUSED.get(found, f"{found!r} cannot stand in an expression"))
