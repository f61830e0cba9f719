"""Where something stands in a file, and the errors that show it.

build.json:12:17: builder 'web': there is no function 'usr'; did you mean 'user'?
12 |       "ami_name": "{{usr `name`}}"
|                      ^
"""

from __future__ import annotations

import difflib
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from harness.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 100
"""Characters of a line that an error shows."""
LONGEST = 1000
"""Characters of what an error says."""
FEW, MANY = 30, 500
"""How many names a message lists, and how many are looked through for the nearest."""


@dataclass(frozen=True)
class Source:
    """A text, and what messages call it: a file's name."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(line) + 1 for line in self._lines)]

    def locate(self, offset: int) -> tuple[int, int]:
        """Line and column of the character at that offset, from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def error(self, offset: int, message: str) -> TemplateError:
        """The error to raise for what stands at that offset."""
        line, column = self.locate(offset)
        message = message if len(message) <= LONGEST else f"{message[:LONGEST]}..."
        text = f"{self.name}:{line}:{column}: {message}\n{self._excerpt(line, column)}"
        return TemplateError(text, file=self.name, line=line, column=column)

    def _excerpt(self, line: int, column: int) -> str:
        first = max(0, column - 1 - WIDTH // 2)
        shown = self._lines[line - 1][first : first + WIDTH].rstrip()
        plain = "".join(c if c.isprintable() else " " for c in shown)
        margin = f"{line:>4} | "
        return f"{margin}{plain}\n{' ' * (len(margin) - 2)}| {' ' * (column - 1 - first)}^"


def nearest(name: str, known: Iterable[str], *, what: str = "there are") -> str:
    """The way out for a name that there is not: the nearest one, or those that there are."""
    known = list(known)
    near = [one for one in known[:MANY] if len(one) <= WIDTH]
    if len(name) <= WIDTH and (close := difflib.get_close_matches(name, near, n=1)):
        return f"did you mean {close[0]!r}?"
    more = ", ..." if len(known) > FEW else ""
    return f"{what} {', '.join(known[:FEW])}{more}" if known else "there are none"
