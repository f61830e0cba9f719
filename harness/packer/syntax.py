"""The syntax of Packer's expressions: what of Go's text/template its templates use.

Texts with actions in double braces: calls of functions, with their arguments behind them and
through pipes; literals (`raw`, "quoted", whole numbers, true, false); fields (``{{.Path}}``);
``{{if}}``, ``{{else if}}``, ``{{else}}``, ``{{end}}``; comments; the trim markers ``{{-`` and
``-}}``. The rest of Go's language (variables, range, with, templates, fields of fields) is refused
by name.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass

from harness.packer import lexer
from harness.packer.lexer import Braces, ExpressionError, Word

MAX_DEPTH = 50
"""How deep parentheses, pipes and ifs may be nested."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | bool
    index: int


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    index: int


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Expression, ...]
    index: int


Expression = Literal | Field | Call


@dataclass(frozen=True, slots=True)
class If:
    condition: Expression
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()


Node = str | Expression | If

_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"])|([0-3][0-7]{2})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|)"
)
_LETTERS = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))
_ASCII = 0x7F
_KEYWORDS = ("if", "else", "end")
_UNSUPPORTED = ("range", "with", "define", "template", "block", "break", "continue", "nil")


def parse(text: str) -> tuple[Node, ...]:
    """The nodes of a text; one without actions is itself.

    Raises:
        ExpressionError: it is wrong, or uses what is not supported.
    """
    if "{{" not in text:
        return (text,) if text else ()
    nodes, ender = _Blocks(lexer.split(text)).block(0)
    if ender:
        raise ExpressionError(ender.index, "this has no if")
    return nodes


class _Blocks:
    """The parts of a text, consumed from the front."""

    def __init__(self, parts: list[str | Braces]) -> None:
        self.parts = parts[::-1]

    def block(self, depth: int) -> tuple[tuple[Node, ...], _Pipeline | None]:
        """The nodes up to an else or end, and that, its keyword still to be read."""
        nodes: list[Node] = []
        while self.parts:
            part = self.parts.pop()
            if isinstance(part, str):
                nodes.append(part)
                continue
            words = _Pipeline(part)
            if words.keyword() in ("else", "end"):
                return tuple(nodes), words
            nodes.append(self.branch(words, depth) if words.take("if") else words.expression())
        return tuple(nodes), None

    def branch(self, words: _Pipeline, depth: int) -> If:
        """What follows the word if, up to its end."""
        if depth == MAX_DEPTH:
            raise ExpressionError(words.index, f"ifs are nested more than {MAX_DEPTH} deep")
        condition = words.expression()
        body, ender = self.block(depth + 1)
        if ender and ender.take("else"):
            if ender.take("if"):
                return If(condition, body, (self.branch(ender, depth + 1),))
            ender.finish()
            otherwise, ender = self.block(depth + 1)
        else:
            otherwise = ()
        if ender is None:
            raise ExpressionError(words.index, "this if has no {{end}}")
        if not ender.take("end"):
            raise ExpressionError(ender.index, "this if has a second else")
        ender.finish()
        return If(condition, body, otherwise)


class _Pipeline:
    """The words of one pair of braces, consumed from the front."""

    def __init__(self, braces: Braces) -> None:
        self.words = braces.words[::-1]
        self.index = braces.at

    def skip(self) -> str:
        """The kind of the next word that is no space; empty at the end."""
        while self.words and self.words[-1].kind == "space":
            self.words.pop()
        return self.words[-1].kind if self.words else ""

    def keyword(self) -> str:
        return self.words[-1].text if self.skip() and self.words[-1].text in _KEYWORDS else ""

    def take(self, keyword: str) -> bool:
        """Whether that was next; it is consumed."""
        found = self.keyword() == keyword
        if found:
            self.words.pop()
        return found

    def finish(self) -> None:
        if self.skip():
            word = self.words[-1]
            raise ExpressionError(word.at, f"{word.text!r} is not expected here")

    def expression(self) -> Expression:
        """All that is left."""
        found = self.pipeline(0)
        self.finish()
        return found

    def pipeline(self, depth: int) -> Expression:
        found = self.command(depth, ())
        while self.skip() == "pipe":
            depth += 1
            self.words.pop()
            found = self.command(depth, (found,))
        return found

    def command(self, depth: int, piped: tuple[Expression, ...]) -> Expression:
        """A function with its arguments, or a value alone."""
        if depth > MAX_DEPTH:
            raise ExpressionError(self.index, f"nested more than {MAX_DEPTH} deep")
        kind, word = self.skip(), self.words[-1] if self.words else None
        if word is None or kind in ("pipe", "right"):
            raise ExpressionError(word.at if word else self.index, "a function is missing here")
        first = self.operand(depth)
        arguments = []
        while self.skip() not in ("", "pipe", "right"):
            arguments.append(self.operand(depth))
        if isinstance(first, Call) and kind == "name":
            return Call(first.name, (*arguments, *piped), first.index)
        if arguments or piped:
            raise ExpressionError(word.at, f"{word.text} is no function: it takes no arguments")
        return first

    def operand(self, depth: int) -> Expression:
        word = self.words.pop()
        if word.kind == "left":
            found = self.pipeline(depth + 1)
            if self.skip() != "right":
                raise ExpressionError(word.at, "this parenthesis is never closed")
            self.words.pop()
        else:
            found = _value(word)
        following = self.words[-1] if self.words else None
        if following and following.kind == "field":
            raise ExpressionError(following.at, "fields of values are not supported")
        if following and following.kind not in ("space", "pipe", "right"):
            raise ExpressionError(following.at, "a space is missing here")
        return found


def _value(word: Word) -> Expression:
    match word.kind:
        case "raw":
            return Literal(word.text[1:-1].replace("\r", ""), word.at)
        case "quoted":
            return Literal(_unquote(word), word.at)
        case "number":
            if not _INTEGER.fullmatch(word.text):
                raise ExpressionError(word.at, f"{word.text[:40]} is no whole number")
            return Literal(int(word.text), word.at)
        case "field":
            return Field(word.text[1:], word.at)
        case "name" if word.text in ("true", "false"):
            return Literal(word.text == "true", word.at)
        case "name" if word.text in (*_KEYWORDS, *_UNSUPPORTED):
            raise ExpressionError(word.at, f"{word.text!r} is not supported here")
        case "name":
            return Call(word.text, (), word.at)
        case _:
            raise ExpressionError(word.at, f"{word.text!r} is not expected here")


def _unquote(word: Word) -> str:
    """What a string in double quotes means in Go."""

    def replace(match: re.Match[str]) -> str:
        found = _unescape(match)
        if found is None:
            shown = word.text[match.start() + 1 : match.start() + 3]
            raise ExpressionError(word.at + match.start() + 1, f"a string has no escape {shown}")
        return found

    return _ESCAPE.sub(replace, word.text[1:-1])


def _unescape(match: re.Match[str]) -> str | None:
    """The character; bytes that are none by themselves, and surrogates, are nothing."""
    letter, octal, byte, short, long = match.groups()
    if letter:
        return _LETTERS[letter]
    digits = short or long or byte
    code = int(octal, 8) if octal else int(digits, 16) if digits else sys.maxunicode + 1
    if code > sys.maxunicode or (code > _ASCII and (octal or byte)):
        return None
    return None if unicodedata.category(chr(code)) == "Cs" else chr(code)
