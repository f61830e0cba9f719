"""Packer's JSON, read strictly and with positions.

Python's own reader tells no positions of values and takes what Packer refuses (names that come
twice, NaN), so the structure is read here; what a string's escapes mean is still its business.
"""

from __future__ import annotations

import json
import math
import re

from harness.errors import TemplateError
from harness.packer.position import Source
from harness.packer.values import Value

MAX_DEPTH = 100
"""How deep lists and objects may be nested. No template comes near; Packer's bound is 10000."""
MAX_SIZE = 128 * 1024
"""Bytes that a file may have: what is read in well under a second."""

_SPACE = re.compile(r"[ \t\r\n]*+")
_STRING = re.compile(
    r'"([^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+)"'
)
_NUMBER = re.compile(r"-?+(?:0|[1-9][0-9]*+)(\.[0-9]++)?+([eE][+-]?+[0-9]++)?+")
_WORD = re.compile(r"[A-Za-z]++")
_ESCAPE = re.compile(r'\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')
_WORDS = {"true": True, "false": False, "null": None}
_HINTS = {
    "'": "strings stand in double quotes",
    "\u201c": "strings stand in straight double quotes",
    "/": "there are no comments; a root key that begins with '_' is one",
    "#": "there are no comments; a root key that begins with '_' is one",
    "True": "it is written true",
    "False": "it is written false",
    "None": "it is written null",
    "NaN": "there is no such number",
    "Infinity": "there is no such number",
}


def read(content: bytes, name: str) -> Value:
    """The value that a JSON file holds.

    Args:
        content: of the file, which is UTF-8.
        name: what messages call the file.

    Raises:
        TemplateError: it is no JSON, or too large or too deeply nested for a template; an object
            has a name twice; a number is too large; a text has half of a surrogate pair.
    """
    source = Source(name, _decode(content, name))
    reader = _Reader(source)
    value, end = reader.value(reader.skip(0), 0)
    end = reader.skip(end)
    if end < len(source.text):
        raise reader.unexpected(end, "the end of the file")
    return value


def _decode(content: bytes, name: str) -> str:
    if len(content) > MAX_SIZE:
        message = f"{name}: {len(content)} bytes are no template; at most {MAX_SIZE} are read"
        raise TemplateError(message, file=name)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = Source(name, content[: error.start].decode("utf-8") + "\ufffd")
        byte = content[error.start]
        message = f"byte 0x{byte:02x} is no UTF-8: save the file as UTF-8"
        raise before.error(len(before.text) - 1, message) from None


class _Reader:
    """One pass over a text: methods take where to begin and return where they ended."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text

    def skip(self, at: int) -> int:
        """Where the next thing begins."""
        space = _SPACE.match(self.text, at)
        assert space
        return space.end()

    def value(self, at: int, depth: int, key: int = -1) -> tuple[Value, int]:
        first = self.text[at : at + 1]
        if first == '"':
            text, end = self.string(at)
            return Value(text, self.source, at, key), end
        if first in ("{", "["):
            if depth == MAX_DEPTH:
                raise self.source.error(at, f"nested more than {MAX_DEPTH} deep")
            entries, end = (self.object if first == "{" else self.list)(at, depth + 1)
            return Value(entries, self.source, at, key), end
        return self.scalar(at, key)

    def scalar(self, at: int, key: int) -> tuple[Value, int]:
        if number := _NUMBER.match(self.text, at):
            return Value(self.number(number), self.source, at, key), number.end()
        word = _WORD.match(self.text, at)
        if word and word[0] in _WORDS:
            return Value(_WORDS[word[0]], self.source, at, key), word.end()
        raise self.unexpected(at, "a value")

    def number(self, match: re.Match[str]) -> int | float:
        value = float(match[0])
        if math.isinf(value):
            raise self.source.error(match.start(), "this number is too large")
        return value if match[1] or match[2] else int(match[0])

    def string(self, at: int) -> tuple[str, int]:
        match = _STRING.match(self.text, at)
        if not match:
            raise self.bad_string(at)
        if "\\" not in match[1]:
            return match[1], match.end()
        text: str = json.loads(match[0])
        for index, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                value = Value(text, self.source, at)
                raise value.error_in(index, "half of a surrogate pair is no character")
        return text, match.end()

    def list(self, at: int, depth: int) -> tuple[tuple[Value, ...], int]:
        entries: list[Value] = []
        end = self.skip(at + 1)
        while self.text[end : end + 1] != "]":
            end = self.comma(end, at, first=not entries)
            value, end = self.value(end, depth)
            entries.append(value)
            end = self.skip(end)
        return tuple(entries), end + 1

    def object(self, at: int, depth: int) -> tuple[dict[str, Value], int]:
        entries: dict[str, Value] = {}
        end = self.skip(at + 1)
        while self.text[end : end + 1] != "}":
            key = self.comma(end, at, first=not entries)
            name, end = self.name(key, entries)
            entries[name], end = self.value(end, depth, key)
            end = self.skip(end)
        return entries, end + 1

    def name(self, at: int, entries: dict[str, Value]) -> tuple[str, int]:
        if self.text[at : at + 1] != '"':
            raise self.unexpected(at, "a name in double quotes")
        name, end = self.string(at)
        if name in entries:
            line, _ = self.source.locate(entries[name].key)
            raise self.source.error(at, f"{name!r} comes twice, first on line {line}")
        end = self.skip(end)
        if self.text[end : end + 1] != ":":
            raise self.unexpected(end, f"a colon after {name!r}")
        return name, self.skip(end + 1)

    def comma(self, at: int, opened: int, *, first: bool) -> int:
        """Where the next entry begins."""
        close = "]" if self.text[opened] == "[" else "}"
        if at == len(self.text):
            line, column = self.source.locate(opened)
            where = f"line {line}, column {column}"
            raise self.source.error(at, f"the {self.text[opened]!r} of {where} is never closed")
        if first:
            return at
        if self.text[at] != ",":
            raise self.unexpected(at, f"a comma or {close!r}")
        following = self.skip(at + 1)
        if self.text[following : following + 1] == close:
            raise self.source.error(at, f"no comma may stand before {close!r}")
        return following

    def unexpected(self, at: int, wanted: str) -> TemplateError:
        if at >= len(self.text):
            return self.source.error(len(self.text), f"the file ends where {wanted} should be")
        word = _WORD.match(self.text, at)
        found = word[0] if word else self.text[at]
        if found == "\ufeff":
            return self.source.error(at, "a byte order mark: save the file as UTF-8 without one")
        hint = f"; {_HINTS[found]}" if found in _HINTS else ""
        return self.source.error(at, f"{found[:40]!r} stands where {wanted} should be{hint}")

    def bad_string(self, at: int) -> TemplateError:
        end = at + 1
        while end < len(self.text) and self.text[end] != '"' and self.text[end] >= " ":
            if self.text[end] == "\\":
                if _ESCAPE.match(self.text, end):
                    escape = self.text[end : end + 2].rstrip()
                    return self.source.error(end, f"a string has no escape {escape!r}")
                end += 1
            end += 1
        if end >= len(self.text) or self.text[end] in "\r\n":
            return self.source.error(at, "this string has no end on its line")
        found = self.text[end]
        return self.source.error(end, f"write {json.dumps(found)} for this character in a string")
