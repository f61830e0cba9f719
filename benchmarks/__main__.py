"""All benchmarks, and one table of them; or those that are named.

python -m benchmarks [--rounds 5] [transport ...]
"""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING

from benchmarks import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.table import Row

NAMES = ["boot_to_image", "parallel", "assertions", "transport"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=table.ROUNDS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(unknown)}: choose from {', '.join(NAMES)}")
    table.show(_rows(options.names or NAMES, options.rounds))


def _rows(names: list[str], rounds: int) -> Iterator[Row]:
    for name in names:
        yield from importlib.import_module(f"benchmarks.{name}").rows(rounds)


if __name__ == "__main__":
    main()
