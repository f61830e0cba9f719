"""The gate: proof that every test of a build passed on the machine that becomes the image.

It trusts no absence of failure. It knows the tests of a build from the module's own collection,
whatever was selected, and wants to have seen set-up, call and teardown of each of them pass on
that machine's id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PASSED, FAILED, SKIPPED, XFAILED, XPASSED, NOT_RUN = (
    "passed",
    "failed",
    "skipped",
    "xfailed",
    "xpassed",
    "not run",
)
RERUN = "rerun"
"""What pytest-rerunfailures reports of a phase that failed, where it will run the test again."""
PHASES = ("setup", "call", "teardown")
NAMED = 5
"""How many tests a refusal names before it says how many more there are."""


@dataclass(frozen=True)
class Phase:
    """What pytest reported of one phase of a test: passed, failed, skipped, rerun.

    ``excused`` is true only where the author's own mark (skip, skipif, xfail) explains an outcome
    that is no pass.
    """

    when: str
    outcome: str
    seconds: float = 0.0
    reason: str = ""
    excused: bool = False
    expected_failure: bool = False


@dataclass
class TestRecord:
    """The phases of one test on one machine."""

    __test__ = False

    phases: list[Phase] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """The worst that was reported, once all that a verdict needs is there.

        What was superseded by a rerun does not count. The last attempt must be whole.
        """
        counting = [p for a in self._attempts() if not _is_superseded(a) for p in a]
        if any(p.outcome == "failed" for p in counting):
            return FAILED
        skipped = [p for p in counting if p.outcome == "skipped"]
        if any(not p.excused for p in skipped):
            return SKIPPED
        last = next(reversed(self._attempts()), [])
        if _is_superseded(last) or "teardown" not in [p.when for p in last]:
            return NOT_RUN
        if skipped:
            return XFAILED if skipped[0].expected_failure else SKIPPED
        if {p.when for p in last if p.outcome == "passed"} != set(PHASES):
            return NOT_RUN
        return XPASSED if any(p.expected_failure for p in last) else PASSED

    @property
    def flaky(self) -> bool:
        """Whether it passed only when it was run again."""
        again = any(_is_superseded(attempt) for attempt in self._attempts())
        return again and self.outcome in (PASSED, XPASSED)

    def _attempts(self) -> list[list[Phase]]:
        """Each run of the test, which begins with its set-up."""
        attempts: list[list[Phase]] = []
        for phase in self.phases:
            if phase.when == "setup" or not attempts:
                attempts.append([])
            attempts[-1].append(phase)
        return attempts

    @property
    def excused(self) -> bool:
        """Whether it is skipped or expected to fail by its author's mark."""
        return self.outcome in (SKIPPED, XFAILED) and all(
            p.excused for p in self.phases if p.outcome == "skipped"
        )

    @property
    def seconds(self) -> float:
        return sum(p.seconds for p in self.phases)

    @property
    def reason(self) -> str:
        return next((p.reason for p in self.phases if p.reason), "")


def _is_superseded(attempt: Iterable[Phase]) -> bool:
    return any(p.outcome == RERUN for p in attempt)


class Gate:
    """One build's tests, and what was seen of them."""

    def __init__(self, tests: Iterable[str], *, untested: bool = False, whole: str = "") -> None:
        """``whole`` is what pytest must be told to run all of them."""
        self.tests = tuple(tests)
        self.way_out = f" (pytest {whole!r} runs them all)" if whole else ""
        self._untested = untested
        self._records: dict[tuple[str, str], TestRecord] = {}
        self._vetoes: dict[str, None] = {}

    def veto(self, nodeid: str) -> None:
        """A test beside the build's own has failed, which may have wanted its machine."""
        self._vetoes[nodeid] = None

    def record(self, machine_id: str, nodeid: str, phase: Phase) -> None:
        self._records.setdefault((machine_id, nodeid), TestRecord()).phases.append(phase)

    def results(self, machine_id: str) -> dict[str, TestRecord]:
        """Every test of the build, with what was seen of it on this machine."""
        return {t: self._records.get((machine_id, t), TestRecord()) for t in self.tests}

    def has_failed(self, machine_id: str) -> bool:
        """Whether a test failed on this machine, or skipped itself."""
        results = self.results(machine_id).values()
        failed = any(r.outcome in (FAILED, SKIPPED) and not r.excused for r in results)
        return failed or bool(self._vetoes)

    def refusal(self, machine_id: str) -> str:
        """Why there can be no image of this machine; empty: every test passed on it."""
        results = self.results(machine_id)
        clauses = [
            clause
            for outcome, words in (
                (FAILED, "failed"),
                (SKIPPED, "skipped itself without a mark that says so"),
                (NOT_RUN, "not run"),
            )
            if (clause := _clause(outcome, words, results))
        ]
        if self._vetoes:
            clauses.append(f"{', '.join(map(_short, self._vetoes))} of its module failed")
        if clauses:
            # A way out only where nothing is wrong but that tests were left out.
            way_out = "" if self.has_failed(machine_id) else self.way_out
            return f"{'; '.join(clauses)}: no image was taken{way_out}"
        if not any(r.outcome in (PASSED, XPASSED) for r in results.values()) and not self._untested:
            return (
                f"none of its {len(results)} tests passed: no image was taken"
                if results
                else "no test uses the build: no image was taken "
                "(write one, or say @harness.build(..., untested=True))"
            )
        return ""


def _clause(outcome: str, words: str, results: dict[str, TestRecord]) -> str:
    named = [t for t, r in results.items() if r.outcome == outcome and not r.excused]
    if not named:
        return ""
    short = [_short(nodeid) for nodeid in named[:NAMED]]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    total = f"{len(named)} of {len(results)} test{'s' if len(results) != 1 else ''}"
    return f"{total} {words} ({', '.join(short)}{more})"


def _short(nodeid: str) -> str:
    return nodeid.partition("::")[2] or nodeid
