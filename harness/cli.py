"""The `harness` command. Builds are run by pytest; this is for what lies around them."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from typing import TYPE_CHECKING

from harness import journal, reaper

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit status."""
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness", description=__doc__)
    parser.add_argument(
        "--version", action="version", version=f"harness {version('pytest-image-harness')}"
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    gc = verbs.add_parser("gc", help="list, and with --yes remove, what killed runs left behind")
    gc.add_argument("--yes", action="store_true", help="remove it")
    gc.set_defaults(run=_gc)
    return parser


def _gc(options: argparse.Namespace) -> int:
    lines = (reaper.reap if options.yes else reaper.find)(journal.directory())
    count = 0
    for line in lines:
        print(line)  # noqa: T201 - a command's output
        count += 1
    if not count:
        print("nothing was left behind")  # noqa: T201
    return 0
