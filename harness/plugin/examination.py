"""A collection that is looked at and nothing more: for `harness validate` and `harness inspect`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.plugin import template_paths, variables
from harness.plugin.collection import names_of_builds, selected_builds

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from harness.plugin.collection import CollectedBuild

    Look = Callable[[list["CollectedBuild"]], None]

FOLDER = "builds"
"""Where builds are by custom: what is examined where nothing is named, if it is there."""
_SILENT = ("terminalreporter", "lfplugin", "nfplugin", "stepwiseplugin")
"""Plugins of pytest that would tell of the collection, or remember it."""


class Examination:
    """A plugin of one session of pytest, which collects and runs nothing.

    Attributes:
        problems: what is wrong, in the words that a run would use.
        warnings: what a run would say of files with variables, and go on.
        names: the selected builds, those that could not be collected among them.
    """

    def __init__(self, look: Look | None = None) -> None:
        """``look`` is given the selected builds, while pytest knows them."""
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.names: list[str] = []
        self._look = look
        self._where = ""
        self._folder = ""

    def run(self, arguments: list[str]) -> bool:
        """Collect as pytest would with these arguments.

        Returns:
            Whether it came to that; if not, pytest has said why on standard error.
        """
        # Plain: this process has imported what pytest would want to rewrite.
        always = ("--collect-only", "--assert=plain")
        with tempfile.TemporaryDirectory() as self._folder:
            status = pytest.main([*always, *arguments], plugins=[self])
        if status == pytest.ExitCode.INTERNAL_ERROR:
            return False
        nothing = status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if nothing and not self.problems and not self.names:
            self.problems.append(f"{self._where}: no build is there, or none was selected")
        return bool(self.problems or self.names)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        config.option.xmlpath = None  # it would be a report of tests that did not run
        folder = config.invocation_params.dir / FOLDER
        if config.args_source is not pytest.Config.ArgsSource.ARGS and folder.is_dir():
            config.args = [str(folder)]
        self._where = ", ".join(config.args)
        config.args = [template_paths.module(arg, Path(self._folder)) for arg in config.args]

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        for name in _SILENT:
            if config.pluginmanager.has_plugin(name):
                config.pluginmanager.unregister(name=name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(report.longreprtext)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        try:
            return (yield)
        except pytest.UsageError as error:
            self.problems += map(str, error.args)
            return True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.names, builds = names_of_builds(session), selected_builds(session)
        self.warnings += variables.warnings(session.config)
        try:
            variables.settle(session.config, builds)
        except pytest.UsageError as error:
            # Who only looks may lack values; who validates wants all that a run wants.
            self.problems += () if self._look else map(str, error.args)
        else:
            self.problems += _source_problems(session.config, builds)
            self.problems += (lacks for b in builds if (lacks := b.source.lacking()))
        if self._look is not None:
            self._look(builds)


def _source_problems(config: pytest.Config, builds: list[CollectedBuild]) -> list[str]:
    from harness.plugin.session import BuildSession

    with tempfile.TemporaryDirectory() as scratch:
        session = BuildSession(config, builds, scratch=Path(scratch))
        try:
            return session.problems()
        finally:
            session.journal.close()
