"""`harness variables`: what can be given to builds, what is given now, and where."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

_LISTING = ("-p", "harness.plugin.listing", "--collect-only")


def add_to(verbs: Any) -> None:
    """Add the verb to the command's others."""
    text = "list the variables of builds, their values and where these come from; builds nothing"
    own = verbs.add_parser("variables", help=text, description=text)
    own.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="as for pytest, or a Packer template; default: as for pytest",
    )
    text = "as for pytest, which has the values from the same places"
    own.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help=text)
    own.add_argument("--var-file", action="append", default=[], metavar="FILE", help=text)
    own.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    given = [f"--var={text}" for text in options.var]
    given += [f"--var-file={name}" for name in options.var_file]
    # A process of its own: pytest wants to be the first to import its plugins.
    command = [sys.executable, "-m", "pytest", *_LISTING, *given, *options.paths]
    # Its files stay open: one of --var-file may be a pipe of the shell's, <(...).
    return 2 if subprocess.run(command, check=False, close_fds=False).returncode else 0
