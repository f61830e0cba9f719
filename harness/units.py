"""Numbers as a person reads them."""

from __future__ import annotations


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
