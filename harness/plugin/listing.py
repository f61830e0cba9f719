"""A plugin that is loaded for `harness variables` alone: it shows what a collection declares."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigurationError
from harness.given import Namespace
from harness.masking import Masker
from harness.plugin import template_paths, variables
from harness.units import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.given import Given
    from harness.variables import Variable

_HEADER = ("NAME", "VALUE", "FROM", "DESCRIPTION")
_QUIET = -2
"""pytest's verbosity that shows nothing but errors."""
_FINE = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    config.args = [template_paths.module(argument, Path(folder.name)) for argument in config.args]


def pytest_configure(config: pytest.Config) -> None:
    config.option.verbose = _QUIET


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    session.items.clear()  # which would be listed next


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    wrong = [*dict.fromkeys((*variables.refused(config), *_wrong(config)))]
    lines = [*_described(config), *_in_vain(config)] or ["no variable is declared"]
    writer = config.get_terminal_writer()
    for line in (*lines, *variables.warnings(config), *wrong):
        writer.line(line)
    if session.exitstatus in _FINE:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR if wrong else pytest.ExitCode.OK


def _described(config: pytest.Config) -> Iterator[str]:
    for module, declared in _modules(config):
        rows = _rows(declared, variables.given(config))
        if rows:
            path = template_paths.origin(module.path, vars(module.obj))
            yield os.path.relpath(path, config.invocation_params.dir)
            yield from (f"  {line}" for line in table([_HEADER, *rows]))


def _in_vain(config: pytest.Config) -> Iterator[str]:
    for module, names in config.stash.get(variables.IN_VAIN, {}).items():
        path = os.path.relpath(module.path, config.invocation_params.dir)
        yield (
            f"{path} declares {', '.join(map(repr, names))}, and has no build: variables are those "
            "of the builds of their module"
        )


def _modules(config: pytest.Config) -> Iterator[tuple[pytest.Module, Iterable[Variable]]]:
    modules: dict[int, tuple[pytest.Module, Iterable[Variable]]] = {}
    for module, declared in config.stash.get(variables.MODULES, {}).items():
        # Shared checks come behind their build's own module, and have the same.
        modules.setdefault(id(declared), (module, declared.all().values()))
    yield from modules.values()


def _rows(declared: Iterable[Variable], given: Given) -> list[tuple[str, ...]]:
    namespace = Namespace({v.name: v for v in declared}, given)
    try:
        masker = namespace.masker()
    except ConfigurationError:  # which is told of each that is wrong
        masker = Masker()
    return [tuple(map(masker.text, _row(v, given))) for v in namespace.declared.values()]


def _row(variable: Variable, given: Given) -> tuple[str, ...]:
    try:
        found = given.find(variable)
    except ConfigurationError:
        return variable.name, "", "wrong", variable.description
    if found is None:
        return variable.name, "", "missing", variable.description
    return variable.name, repr(found.value), found.origin, variable.description


def _wrong(config: pytest.Config) -> Iterator[str]:
    for variable in (v for _, declared in _modules(config) for v in declared):
        try:
            variables.given(config).find(variable)
        except ConfigurationError as error:
            yield str(error)
