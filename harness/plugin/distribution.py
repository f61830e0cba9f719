"""Whether a session's builds are run by workers of pytest-xdist."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.plugin import checks, worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Take over as xdist's controller; without builds everything is left to xdist."""
    if worker.identity(config) is not None:
        config.pluginmanager.register(worker.Refusals(config))
    distributed = config.getoption("dist", "no") != "no" and not worker.is_worker(config)
    if config.option.collectonly:  # xdist leaves that to this process
        return
    if distributed and any(checks.has_builds(path) for path in _modules(config)):
        from harness.plugin.controller import Controller

        config.pluginmanager.register(Controller(config))


def _modules(config: pytest.Config) -> Iterator[Path]:
    """The test modules that the command line leads to: the controller collects nothing."""
    for argument in config.args:
        path = config.invocation_params.dir / argument.partition("::")[0]
        if path.is_dir():
            yield from _below(path, config)
        elif path.suffix == ".py":
            yield path


def _below(folder: Path, config: pytest.Config) -> Iterator[Path]:
    skipped, wanted = config.getini("norecursedirs"), config.getini("python_files")
    for where, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not _any(f, skipped)]
        if "pyvenv.cfg" in files:
            folders.clear()
        yield from (Path(where, name) for name in files if _any(name, wanted))


def _any(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
