"""Numbers and tables as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def counted(number: int, thing: str) -> str:
    """``1 call``, ``2 calls``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def human(size: float) -> str:
    """Bytes in the unit that leaves few digits: ``505.4 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:  # noqa: PLR2004 - by definition
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row, its cells below those of the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
