"""From pytest's reports to the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import assertions
from harness.gate import Phase
from harness.plugin import junit, masked
from harness.plugin.after_image import AfterImageItem
from harness.plugin.items import (
    BUILD,
    NoMachine,
    StageItem,
    failure_text,
    may_ask_for_a_build,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from harness.lifecycle import BuildRun
    from harness.masking import Masker

BESIDE = "harness_beside"
"""The attribute of a report that has the module of a test of no build."""
REACHED = pytest.StashKey[bool]()
"""Whether a test got past its skip marks: a skip from then on is its own decision."""


class Results:
    """Registered while a session runs builds."""

    def __init__(self, runs: Mapping[str, BuildRun], masker: Masker) -> None:
        self._runs = runs
        self._masker = masker

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # pytest's own look at the marks comes first, and ends a test that is to be skipped.
        item.stash[REACHED] = True
        for run in self._runs.values():
            if run.host is not None:
                assertions.begin_test(run.host)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, StageItem):
            if report.when == "call" and (seconds := item.seconds()) is not None:
                report.duration = seconds
            if isinstance(item, AfterImageItem):
                excused = _excused(item, call, report)
                told = [item.build, item.follower.name, list(item.files)]
                vars(report).update(harness_follower=told, harness_excused=excused)
        elif (build := item.stash.get(BUILD, "")) in self._runs:
            # On the report, since what comes of it (a rerun, say) is known only when it is logged.
            vars(report).update(harness_build=build, harness_excused=_excused(item, call, report))
            if call.excinfo is not None and isinstance(call.excinfo.value, NoMachine):
                report.longrepr = self._no_machine(self._runs[build], call.excinfo.value)
        elif may_ask_for_a_build(item):
            vars(report)[BESIDE] = str(item.path.resolve())
        masked.mask(report, self._masker)  # before anybody has seen it
        junit.mask_attributes(item.config, self._masker)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if build := getattr(report, "harness_build", None):
            run = self._runs[build]
            run.gate.record(run.machine_id, report.nodeid, _phase(report))
        elif follower := getattr(report, "harness_follower", None):
            build, name, files = follower
            self._runs[build].follow(name, _phase(report), files)
        else:
            self._beside(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: object) -> None:
        """Before the terminal has shown it: what goes wrong may have a secret in its message."""
        masked.shown(excrepr, self._masker)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Before JUnit's report is written: properties of the whole suite are no report's."""
        junit.mask_properties(session.config, self._masker)

    def _beside(self, report: pytest.TestReport) -> None:
        """A test of no build: one that fails beside a build may have meant its machine."""
        module = getattr(report, BESIDE, None)
        for run in self._runs.values():
            if report.failed and str(run.definition.file) == module:
                run.gate.veto(report.nodeid)

    def _no_machine(self, run: BuildRun, error: NoMachine) -> str:
        if run.error is None or run.error_shown:
            return str(error.msg)
        run.error_shown = True  # no item of that stage came before: the first test tells
        return f"{error.msg}\n{failure_text(run, run.error)}"


def _phase(report: pytest.TestReport) -> Phase:
    assert report.when is not None
    return Phase(
        report.when,
        report.outcome,
        report.duration,
        _reason(report),
        excused=vars(report)["harness_excused"],
        expected_failure=hasattr(report, "wasxfail"),
    )


def _excused(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> bool:
    """Whether the author's own mark explains an outcome that is no pass."""
    if hasattr(report, "wasxfail"):
        from _pytest.skipping import xfailed_key  # nothing else tells marks that hold from others

        return bool(item.stash.get(xfailed_key, None))
    # A mark's skip is told by pytest with the item's place; a hook's pytest.skip() is not.
    by_mark = call.excinfo and getattr(call.excinfo.value, "_use_item_location", False)
    return report.skipped and report.when == "setup" and bool(by_mark) and REACHED not in item.stash


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message) if crash else ""
