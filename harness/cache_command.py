"""`harness cache`: what is kept on this computer between runs, and how to be rid of it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cache, eviction, settings
from harness.errors import ConfigurationError
from harness.size import parse_size
from harness.units import human, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.eviction import Entry

_HEADER = ("KIND", "NAME", "SIZE", "LAST USED", "IN USE")


def add_to(verbs: Any) -> None:
    """Add the verb to the command's others."""
    text = "list or remove the bases, downloads and saved machines that are kept between runs"
    own = verbs.add_parser("cache", help=text, description=text).add_subparsers(
        required=True, metavar="list|prune|clear"
    )
    text = "list what is kept, and whether it is in use; what would go first comes first"
    own.add_parser("list", help=text, description=text).set_defaults(run=_list)
    text = "remove what was used least recently, until the rest is within the bound"
    prune = own.add_parser("prune", help=text, description=text)
    prune.add_argument(
        "--size",
        type=_size,
        help='the bound, as in "5G"; default: HARNESS_CACHE_SIZE, or cache_size of [tool.harness] '
        f"in pyproject.toml, or {human(settings.Settings().cache_size)}",
    )
    prune.set_defaults(run=_prune)
    text = "remove all that is not in use; the next run makes it anew"
    own.add_parser("clear", help=text, description=text).set_defaults(run=_clear)


def _list(options: argparse.Namespace) -> int:
    del options
    bound = settings.find(Path.cwd()).cache_size
    found = eviction.entries()
    if found:
        print(*table([_HEADER, *map(_row, found)]), sep="\n")  # noqa: T201 - a command's output
    print(f"{_of(found, bound)}, in {cache.directory()}")  # noqa: T201 - a command's output
    return 0


def _prune(options: argparse.Namespace) -> int:
    bound = options.size or settings.find(Path.cwd()).cache_size
    _remove(eviction.prune(bound))
    left = eviction.entries()
    over = ", since the rest is in use" if _total(left) > bound else ""
    print(f"left: {_of(left, bound)}{over}")  # noqa: T201 - a command's output
    return 0


def _clear(options: argparse.Namespace) -> int:
    del options
    _remove(eviction.clear())
    for entry in eviction.entries():
        why = "in use" if entry.in_use else "needed by what is in use"
        print(f"left, {why}: {entry}, {human(entry.size)}")  # noqa: T201 - a command's output
    return 0


def _remove(removed: Iterable[Entry]) -> None:
    freed = 0
    for entry in removed:
        freed += entry.size
        print(f"removed: {entry}, {human(entry.size)}")  # noqa: T201 - a command's output
    print(f"freed: {human(freed)}" if freed else "nothing to remove")  # noqa: T201 - as above


def _row(entry: Entry) -> tuple[str, ...]:
    name = entry.name if entry.whole else f"{entry.name} (unfinished)"
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    return entry.kind, name, human(entry.size), used, "yes" if entry.in_use else "no"


def _of(found: list[Entry], bound: int) -> str:
    return f"{human(_total(found))} of at most {human(bound)}"


def _total(found: list[Entry]) -> int:
    return sum(entry.size for entry in found)


def _size(text: str) -> int:
    try:
        return parse_size("size", text)
    except ConfigurationError as error:  # of a ValueError argparse would say less
        raise argparse.ArgumentTypeError(str(error)) from None
