"""JSON values that know where they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness.packer.position import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.errors import TemplateError
    from harness.packer.position import Source
    from harness.packer.scope import Budget


class Deferred(Protocol):
    """A text with fields such as ``{{.Path}}``, which get their values when it is used."""

    def render(self, fields: Mapping[str, object], budget: Budget | None = None) -> str: ...


Data = None | bool | int | float | str | Deferred | tuple["Value", ...] | Mapping[str, "Value"]

_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    tuple: "a list",
    dict: "an object",
}
_ESCAPED = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a template.

    ``data`` is None, a bool, int, float or str, a `Deferred` text, a tuple of values, or a dict of
    them. ``offset`` says where it begins in its source, ``key`` where its name does, if it has one.
    """

    data: Data
    source: Source = field(repr=False, compare=False)
    offset: int = field(repr=False, compare=False)
    key: int = field(default=-1, repr=False, compare=False)

    @property
    def what(self) -> str:
        """Its type, in JSON's words: "a list"."""
        return _NAMES.get(type(self.data), "a string")

    def entries(self) -> Mapping[str, Value]:
        """Of an object; anything else has none."""
        return self.data if isinstance(self.data, dict) else {}

    def error(self, message: str) -> TemplateError:
        """The error to raise for the value."""
        return self.source.error(self.offset, message)

    def key_error(self, message: str) -> TemplateError:
        """The error to raise for its name."""
        return self.source.error(self.offset if self.key < 0 else self.key, message)

    def note(self, message: str) -> str:
        """A warning about its name, with where that stands."""
        line, column = self.source.locate(self.offset if self.key < 0 else self.key)
        return f"{self.source.name}:{line}:{column}: {message}"

    def error_in(self, index: int, message: str) -> TemplateError:
        """The error to raise for a character of a string."""
        offset, text = self.offset + 1, self.source.text
        for _ in range(index):
            escape = _ESCAPED.match(text, offset)
            offset = escape.end() if escape else offset
        return self.source.error(min(offset, len(text)), message)

    def plain(self) -> Any:
        """As `json.loads` would have it; a deferred text as it was written."""
        if isinstance(self.data, tuple):
            return [entry.plain() for entry in self.data]
        if isinstance(self.data, dict):
            return {name: entry.plain() for name, entry in self.data.items()}
        simple = self.data is None or isinstance(self.data, bool | int | float)
        return self.data if simple else str(self.data)


def refuse_unknown(entries: Mapping[str, Value], known: Iterable[str], what: str) -> None:
    """Refuse names that mean nothing, with the nearest that means something.

    Args:
        entries: of an object.
        known: what may be in it.
        what: has them, for the message: "builder 'web'".

    Raises:
        TemplateError: the first that is unknown.
    """
    known = list(known)
    for name, value in entries.items():
        if name not in known:
            comment = name.startswith("_")
            way = "comments are keys of the root alone" if comment else nearest(name, known)
            raise value.key_error(f"{what} has no {name!r}: {way}")
