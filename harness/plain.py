"""What a machine printed, as text that no terminal takes for orders."""

from __future__ import annotations

import re

# Colours and cursor movements, titles (which end in BEL or ESC \), and the short ones.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")


def without_escapes(text: str) -> str:
    return _ESCAPES.sub("", text)


def line(text: str) -> str:
    """One line; of one that was written over and over, as progress bars are, the last state."""
    last = without_escapes(text).rstrip().rpartition("\r")[2]
    return "".join(c if c.isprintable() else " " for c in last)
