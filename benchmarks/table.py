"""The table that benchmarks end in, and what makes rows of it."""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROUNDS = 5
HEAD = ("what", "peer", "ours", "ratio", "limit", "holds?")


@dataclass(frozen=True)
class Row:
    """What was compared, both as people read it, and how large the ratio may be; None: any.

    Without a ratio it was not measured.
    """

    what: str
    peer: str
    ours: str
    ratio: float | None
    limit: float | None

    @property
    def cells(self) -> tuple[str, ...]:
        verdict = ("", "")
        if self.ratio is None:
            return (self.what, self.peer, self.ours, "", f"{self.limit:g}", "not measured")
        if self.limit is not None:
            verdict = (f"{self.limit:g}", "yes" if self.ratio <= self.limit else "NO")
        return (self.what, self.peer, self.ours, f"{self.ratio:.3f}", *verdict)


def compared(
    what: str,
    rounds: Iterable[tuple[float, float]],
    limit: float | None = None,
    *,
    unit: str = "s",
) -> Row:
    """A row of medians; ``rounds`` are a peer's and our figures, measured in turn."""
    pairs = list(rounds)
    peer, ours = (statistics.median(figures) for figures in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for theirs, mine in pairs)
    return Row(what, f"{peer:.2f} {unit}", f"{ours:.2f} {unit}", ratio, limit)


def not_measured(what: str, limit: float, missing: str) -> Row:
    """A row for what could not be measured here, and what that would need."""
    say(f"{what}: not measured, it needs {missing}")
    return Row(what, "", "", None, limit)


def in_turn(
    rounds: int, peer: Callable[[], float], ours: Callable[[], float]
) -> Iterator[tuple[float, float]]:
    """Measure both, one after the other, so that a busy computer slows both."""
    for number in range(1, rounds + 1):
        pair = (peer(), ours())
        say(f"  round {number}: peer {pair[0]:.2f}, ours {pair[1]:.2f}")
        yield pair


def say(text: str) -> None:
    """Tell how it goes, beside the table."""
    print(text, file=sys.stderr, flush=True)


def show(rows: Iterable[Row]) -> None:
    """Print them as a table, once all are measured."""
    lines: list[tuple[str, ...]] = [HEAD]
    for row in rows:
        lines.append(row.cells)
        say(" | ".join(row.cells))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)))


def main(rows: Callable[[int], Iterator[Row]]) -> None:
    """Run one benchmark alone: the program of its module."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each; {ROUNDS} by default")
    show(rows(parser.parse_args().rounds))
