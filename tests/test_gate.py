"""The gate's logic, without a session."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.gate import Gate, Phase

MACHINE = "machine-1"


def passes(gate: Gate, nodeid: str, machine: str = MACHINE) -> None:
    for when in ("setup", "call", "teardown"):
        gate.record(machine, nodeid, Phase(when, "passed"))


def test_every_phase_of_every_test_on_this_machine_opens_it() -> None:
    gate = Gate(["a", "b"])
    passes(gate, "a")
    assert gate.refusal(MACHINE) == "1 of 2 tests not run (b): no image was taken"
    passes(gate, "b")
    assert gate.refusal(MACHINE) == ""
    assert gate.refusal("machine-2") == "2 of 2 tests not run (a, b): no image was taken"


@pytest.mark.parametrize("missing", ["setup", "call", "teardown"])
def test_a_phase_that_was_not_seen_is_no_pass(missing: str) -> None:
    gate = Gate(["a"])
    for when in {"setup", "call", "teardown"} - {missing}:
        gate.record(MACHINE, "a", Phase(when, "passed"))
    assert gate.results(MACHINE)["a"].outcome == "not run"
    assert gate.refusal(MACHINE)


@pytest.mark.parametrize("failing", ["setup", "call", "teardown"])
def test_a_failure_is_not_undone_by_a_pass(failing: str) -> None:
    gate = Gate(["a"])
    gate.record(MACHINE, "a", Phase(failing, "failed"))
    passes(gate, "a")
    assert gate.refusal(MACHINE) == "1 of 1 test failed (a): no image was taken"


def test_only_a_mark_excuses_a_skip() -> None:
    for excused in (True, False):
        gate = Gate(["a", "b"])
        gate.record(MACHINE, "a", Phase("setup", "skipped", excused=excused))
        gate.record(MACHINE, "a", Phase("teardown", "passed"))
        passes(gate, "b")
        assert bool(gate.refusal(MACHINE)) is not excused


def test_an_image_needs_one_pass_at_least_unless_it_says_untested() -> None:
    assert "no test uses the build" in Gate([]).refusal(MACHINE)
    assert Gate([], untested=True).refusal(MACHINE) == ""
    untested = Gate(["a"], untested=True)
    assert "1 of 1 test not run" in untested.refusal(MACHINE)


def test_a_refusal_names_some_and_counts_the_rest() -> None:
    gate = Gate([f"f.py::test_{n}" for n in range(9)])
    for n in range(2):
        gate.record(MACHINE, f"f.py::test_{n}", Phase("call", "failed"))
    assert gate.refusal(MACHINE) == (
        "2 of 9 tests failed (test_0, test_1); "
        "7 of 9 tests not run (test_2, test_3, test_4, test_5, test_6 and 2 more): "
        "no image was taken"
    )


@pytest.mark.parametrize("again", ["setup", "call", "teardown"])
def test_a_pass_after_a_rerun_counts_and_is_flaky(again: str) -> None:
    gate = Gate(["a"])
    gate.record(MACHINE, "a", Phase("setup", "rerun" if again == "setup" else "passed"))
    gate.record(MACHINE, "a", Phase("call", "rerun" if again == "call" else "passed"))
    gate.record(MACHINE, "a", Phase("teardown", "rerun" if again == "teardown" else "passed"))
    assert gate.results(MACHINE)["a"].outcome == "not run"
    gate.record(MACHINE, "a", Phase("setup", "passed"))
    assert gate.refusal(MACHINE), "the run that counts is not over"
    gate.record(MACHINE, "a", Phase("call", "passed"))
    gate.record(MACHINE, "a", Phase("teardown", "passed"))
    assert gate.refusal(MACHINE) == ""
    assert gate.results(MACHINE)["a"].flaky


# At random: a letter for the phase and one for what came of it (passed, failed, skipped, excused,
# rerun, or what some plugin invents), so that a test's history is a word.

WHENS = {"s": "setup", "c": "call", "t": "teardown"}
OUTCOMES = {"p": "passed", "f": "failed", "k": "skipped", "e": "skipped", "r": "rerun", "?": "odd"}
PASS = "spcptp"
LIKELY = [PASS] * 6 + ["spcrtp", "srtp", "spcptr", "spcftp", "spcktp", "setp", "sptp", "cptp", "s?"]
HISTORY = st.one_of(
    st.lists(st.sampled_from(LIKELY), min_size=1, max_size=3).map("".join),
    st.lists(st.sampled_from([w + o for w in WHENS for o in OUTCOMES]), max_size=7).map("".join),
)


def is_proof(history: str) -> bool | None:
    """Whether a history shows a pass; None: its author excuses it."""
    runs = re.findall("s.(?:[ct].)*|^(?:[ct].)+", history)
    last = runs.pop() if runs else ""
    counting = "".join(run for run in [*runs, last] if "r" not in run)
    if re.search("[fk]", counting) or "r" in last or "t" not in last:
        return False
    if "e" in counting:
        return None
    return {"sp", "cp", "tp"} <= set(re.findall("..", last))


@given(
    histories=st.dictionaries(
        st.tuples(st.sampled_from(["this machine", "another"]), st.sampled_from("abcd")), HISTORY
    ),
    tests=st.lists(st.sampled_from("abc"), unique=True),
)
@settings(max_examples=2000, deadline=None, database=None)
def test_the_gate_opens_to_proof_alone(
    histories: dict[tuple[str, str], str], tests: list[str]
) -> None:
    gate = Gate(tests)
    for (machine, test), history in histories.items():
        for when, outcome in re.findall("(.)(.)", history):
            phase = Phase(WHENS[when], OUTCOMES[outcome], excused=outcome == "e")
            gate.record(machine, test, phase)
    proofs = [is_proof(histories.get(("this machine", test), "")) for test in tests]
    assert (gate.refusal("this machine") == "") == (True in proofs and False not in proofs)
