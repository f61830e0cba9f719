"""Times of stages and calls."""

from __future__ import annotations

import pytest

from harness.events import CallFinished, Dispatcher, Event, StageFinished
from harness.stopwatch import Stopwatch


@pytest.fixture
def stopwatch(events: list[Event]) -> Stopwatch:
    dispatcher = Dispatcher()
    dispatcher.subscribe(events.append)
    return Stopwatch("web.fake", dispatcher)


def test_a_second_counts_for_the_innermost_stage_alone(
    stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 10.0, 13.0, 14.0])
    monkeypatch.setattr("harness.stopwatch.time.monotonic", lambda: next(times))
    with stopwatch.stage("boot"), stopwatch.stage("base"):
        pass
    assert stopwatch.seconds == {"base": 3.0, "boot": 11.0}


def test_a_failing_stage_says_so_and_is_timed(stopwatch: Stopwatch, events: list[Event]) -> None:
    with pytest.raises(ValueError, match="no"), stopwatch.stage("boot"):
        raise ValueError("no")
    _, event = events
    assert isinstance(event, StageFinished)
    assert (event.stage, event.error) == ("boot", "no")


def test_calls_count_while_the_machine_is_provisioned(
    stopwatch: Stopwatch, events: list[Event]
) -> None:
    with stopwatch.stage("provision"), stopwatch.call("shell a"):
        pass
    with stopwatch.stage("seal"), stopwatch.call("shell b"):
        pass
    assert [e.call for e in events if isinstance(e, CallFinished)] == ["shell a"]
