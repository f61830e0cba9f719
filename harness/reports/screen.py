"""Live lines on a terminal, below what is written to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

from wcwidth import wcswidth, wcwidth

from harness import plain

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

_BELOW = "\x1b[J"
"""Erases from the cursor to the end of the screen."""


class Screen:
    """Stands in for a terminal's file: what is written goes there, the live lines stay below it.

    The cursor always rests where the last text ended, though it may be in the midst of a line. So
    the live lines are gone by erasing what is below the cursor, whatever has become of them (the
    window was made narrower, say), and a process that dies leaves a terminal that works.

    Args:
        file: the terminal.
        lock: held while something is written or drawn.
    """

    def __init__(self, file: TextIO, lock: threading.RLock) -> None:
        self._file = file
        self._lock = lock
        self._line = ""
        self._shown: tuple[os.terminal_size, Sequence[str]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        with self._lock:
            self.erase()
            written = self._file.write(text)
            self._line = (self._line + text).rpartition("\n")[2].rpartition("\r")[2]
            return written

    def erase(self) -> None:
        if self._shown:
            self._file.write(_BELOW)
            self._file.flush()
            self._shown = None

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines in the place of those that are there."""
        size = _size(self._file)
        if not lines:
            self.erase()
        elif self._shown != (size, lines):
            fitting = [clipped(x, size.columns - 1) for x in _fitting(lines, size.lines // 2)]
            self._file.write(self._encodable(self._drawing(fitting, size.columns)))
            self._file.flush()
            self._shown = size, lines

    def _drawing(self, lines: Sequence[str], columns: int) -> str:
        # First room below, in which scrolling takes the cursor's line along. While the lines are
        # drawn nothing wraps: a terminal may find a character wider than we do.
        room = "\x1bD" * len(lines) + f"\x1b[{len(lines)}A"
        drawn = "\x1b[K".join(f"\r\x1b[B{line}" for line in lines)
        return f"{room}\x1b[?7l\x1b7{drawn}{_BELOW}\x1b8\x1b[?7h{self._at_edge(columns)}"

    def _at_edge(self, columns: int) -> str:
        """A terminal wraps with the character after a line's last one: have it about to, again."""
        text = plain.without_escapes(self._line)
        width = wcswidth(text)
        return text[-1] if width > 0 and width % columns == 0 else ""

    def _encodable(self, text: str) -> str:
        encoding = self._file.encoding
        return text.encode(encoding, "replace").decode(encoding)


def clipped(text: str, columns: int) -> str:
    """A line's beginning, where all of it is wider than that."""
    if wcswidth(text) <= columns:
        return text
    kept, width = [], 1  # of the ellipsis
    for character in text:
        width += wcwidth(character)
        if width > columns:
            break
        kept.append(character)
    return "".join(kept) + "…"


def _fitting(lines: Sequence[str], rows: int) -> Sequence[str]:
    if len(lines) <= rows:
        return lines
    shown = max(0, rows - 1)
    return [*lines[:shown], f"… and {len(lines) - shown} more"][:rows]


def _size(file: TextIO) -> os.terminal_size:
    size = os.get_terminal_size(file.fileno())
    return os.terminal_size((size.columns or 80, size.lines or 24))  # 0: it does not know
