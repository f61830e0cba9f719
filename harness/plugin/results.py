"""From pytest's reports to the gate, and to the summary."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.gate import PASSED, Phase
from harness.plugin.items import BUILD, NoMachine, StageItem, failure_text
from harness.units import human

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from harness.lifecycle import BuildRun
    from harness.reports.manifest import Manifest

REACHED = pytest.StashKey[bool]()
"""Whether a test got past its skip marks: a skip from then on is its own decision."""


class Results:
    """Registered while a session runs builds."""

    def __init__(self, runs: Mapping[str, BuildRun], manifest: Manifest) -> None:
        self._runs = runs
        self._manifest = manifest

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # pytest's own look at the marks comes first, and ends a test that is to be skipped.
        item.stash[REACHED] = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, StageItem):
            if report.when == "call":
                report.duration = item.seconds()
        elif build := item.stash.get(BUILD, None):
            # On the report, since what comes of it (a rerun, say) is known only when it is logged.
            vars(report).update(harness_build=build, harness_excused=_excused(item, report))
            if call.excinfo is not None and isinstance(call.excinfo.value, NoMachine):
                report.longrepr = self._no_machine(self._runs[build], call.excinfo.value)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        build = getattr(report, "harness_build", None)
        if build is None:
            return
        run = self._runs[build]
        assert report.when is not None
        phase = Phase(
            report.when,
            report.outcome,
            report.duration,
            _reason(report),
            excused=report.harness_excused,
            expected_failure=hasattr(report, "wasxfail"),
        )
        run.gate.record(run.machine_id, report.nodeid, phase)

    def _no_machine(self, run: BuildRun, error: NoMachine) -> str:
        if run.error is None or run.error_shown:
            return str(error.msg)
        run.error_shown = True  # no item of that stage came before: the first test tells
        return f"{error.msg}\n{failure_text(run, run.error)}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """After a signal pytest prints no summary; what became of the images matters then too."""
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and exitstatus not in set(pytest.ExitCode):
            self.pytest_terminal_summary(reporter)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("images")
        for run in self._runs.values():
            for line in _outcome_lines(run):
                terminalreporter.write_line(f"{run.name}  {line}")
        terminalreporter.write_line(f"manifest: {self._manifest.shown_path}")


def _excused(item: pytest.Item, report: pytest.TestReport) -> bool:
    """Whether the author's own mark explains an outcome that is no pass."""
    if hasattr(report, "wasxfail"):
        return item.get_closest_marker("xfail") is not None
    return report.skipped and report.when == "setup" and REACHED not in item.stash


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message) if crash else ""


def _outcome_lines(run: BuildRun) -> list[str]:
    image = run.image
    if image is None:
        return [f"no image: {run.reason}"]
    lines = [f"{image.id}  {human(image.size)}  {image.checksum}"]
    if image.stable_path:
        lines.append(f"also at {image.stable_path}")
    return [*lines, *_exceptions(run)]


def _exceptions(run: BuildRun) -> list[str]:
    """What did not simply pass, and did not keep the image back."""
    outcomes = Counter(r.outcome for r in run.gate.results(run.machine_id).values())
    named = [f"{n} {outcome}" for outcome, n in outcomes.items() if outcome != PASSED]
    return [f"of {outcomes.total()} tests: {', '.join(named)}"] if named else []
