"""The `harness` command. Builds are run by pytest; this is for what lies around them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness import cache_command, examine_command, journal, kept, reaper, variables_command
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.kept import Kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit status."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if hasattr(options, "pytest"):  # what it does not know is pytest's
        options.pytest = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        status: int = options.run(options)
    except ConfigurationError as error:
        print(f"harness: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 2
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
    login = verbs.add_parser("login", help="open a shell on a machine that --on-error=keep kept")
    login.add_argument("build", help="as in web.qemu")
    login.add_argument("command", nargs="*", help="run this instead of a shell")
    login.set_defaults(run=_login)
    remove = verbs.add_parser("remove", help="remove the machines that were kept of a build")
    remove.add_argument("build", help="as in web.qemu")
    remove.set_defaults(run=_remove)
    cache_command.add_to(verbs)
    variables_command.add_to(verbs)
    examine_command.add_to(verbs)
    return parser


def _gc(options: argparse.Namespace) -> int:
    lines = (reaper.reap if options.yes else reaper.find)(journal.directory())
    count = 0
    for line in lines:
        print(line)  # noqa: T201 - a command's output
        count += 1
    if not count:
        print("nothing was left behind")  # noqa: T201 - as above
    for machine in kept.find():
        ways = f"harness login {machine.build}, harness remove {machine.build}"
        print(f"kept on purpose: {machine.build} of {machine.root}: {ways}")  # noqa: T201 - as above
    return 0


def _login(options: argparse.Namespace) -> int:
    found = _kept(options.build)
    if not found:
        return 1
    ssh = ["ssh", "-F", str(found[0].ssh_config), "default", *options.command]
    return subprocess.run(ssh, check=False).returncode


def _remove(options: argparse.Namespace) -> int:
    found = _kept(options.build)
    for machine in found:
        for line in reaper.remove(machine):
            print(line)  # noqa: T201 - a command's output
    return 0 if found else 1


def _kept(build: str) -> list[Kept]:
    """The machines that were kept of a build, the newest first; those of this project if any."""
    found = kept.find(build)
    if not found:
        names = ", ".join(dict.fromkeys(k.build for k in kept.find())) or "none at all"
        print(f"no machine of {build} was kept; there is: {names}", file=sys.stderr)  # noqa: T201 - as above
    return [k for k in found if Path.cwd().is_relative_to(k.root)] or found
