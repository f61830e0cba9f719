"""Values of our options that are paths, and pytest's rootdir, with which they have nothing to do.

Pytest finds its rootdir, and with it the project's settings, before it knows any plugin's options:
it takes each path among the arguments for one of tests, and so the file in ``--var-file FILE``.
Only ``--var-file=FILE`` is none to it. So what was written with a space begins anew without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS = frozenset({"--var-file", "--only", "--except"})
"""Those of our options whose value may be the name of something that is there."""
ANEW = pytest.StashKey[list[str]]()
"""The arguments to begin anew with."""


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``=`` between an option of ours and a value that is a path as well."""
    found: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            return [*found, argument, *left]
        if argument in OPTIONS and left and _is_path(left[0]):
            argument = f"{argument}={left.pop(0)}"
        found.append(argument)
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Do no more with arguments that led pytest astray."""
    given = [str(argument) for argument in early_config.invocation_params.args]
    if (anew := joined(given)) != given:
        early_config.stash[ANEW] = anew
        early_config.known_args_namespace.noconftest = True
        args.clear()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | pytest.ExitCode | None:
    """Begin anew, with settings, conftest files and plugins of the right place."""
    if anew := config.stash.get(ANEW, None):
        return pytest.main(anew, plugins=config.invocation_params.plugins)
    return None


def _is_path(text: str) -> bool:
    try:
        return Path(text.partition("::")[0]).exists()
    except (OSError, ValueError):
        return False
