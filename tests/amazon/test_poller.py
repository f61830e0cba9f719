from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from harness.cancel import CancelToken
from harness.errors import CancelledError, SourceError
from harness.sources.amazon.errors import ApiError
from harness.sources.amazon.poller import ABSENT_SECONDS, Pace, Poller

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

QUICK, SLOW = Pace(0.01, 0.01, 0), Pace(0.2, 0.2, 0)
THROTTLED = ApiError("slow down", operation="o", code="RequestLimitExceeded", status=503)
DENIED = ApiError("no", operation="o", code="UnauthorizedOperation", status=403)


class Cloud:
    """Answers each question with the next of these; the last for ever."""

    def __init__(self, *answers: Mapping[str, Any] | Exception) -> None:
        self.asked: list[list[str]] = []
        self._answers = list(answers)

    def describe(self, ids: Collection[str]) -> Mapping[str, Any]:
        self.asked.append(list(ids))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def is_running(thing: str) -> str | None:
    return thing if thing == "running" else None


def wait(cloud: Cloud, poller: Poller | None = None, timeout: float = 60) -> str:
    found = (poller or Poller("instance")).wait(
        "i-1", cloud.describe, is_running, CancelToken(), timeout=timeout, pace=QUICK
    )
    assert isinstance(found, str)
    return found


def test_what_is_not_known_yet_and_what_is_not_ready_is_waited_for() -> None:
    cloud = Cloud({}, {"i-1": "pending"}, {"i-1": "running"})
    assert wait(cloud) == "running"
    assert cloud.asked == [["i-1"]] * 3


def test_throttling_and_lost_answers_are_no_end() -> None:
    lost = ApiError("no answer", operation="o")
    assert wait(Cloud(THROTTLED, lost, {"i-1": "running"})) == "running"


def test_a_refusal_is_the_end() -> None:
    with pytest.raises(ApiError, match="no"):
        wait(Cloud({"i-1": "pending"}, DENIED))


def test_what_was_there_and_is_no_more_was_removed() -> None:
    with pytest.raises(SourceError, match="instance i-1 is not there: somebody has removed it"):
        wait(Cloud({"i-1": "pending"}, {}))


def test_what_never_comes_is_not_waited_for_until_the_deadline() -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    with pytest.raises(SourceError, match="is not there"):
        wait(Cloud({}), Poller("instance", clock), timeout=100 * ABSENT_SECONDS)
    assert ABSENT_SECONDS < now[0] < 2 * ABSENT_SECONDS


def test_the_deadline_is_told() -> None:
    with pytest.raises(SourceError, match="instance i-1: not done after"):
        wait(Cloud({"i-1": "pending"}), timeout=0.05)


def test_stopping_the_run_ends_the_wait() -> None:
    cancel = CancelToken()

    def describe(ids: Collection[str]) -> Mapping[str, Any]:
        cancel.cancel()
        return dict.fromkeys(ids, "pending")

    with pytest.raises(CancelledError):
        Poller("instance").wait("i-1", describe, is_running, cancel, timeout=60, pace=QUICK)


def test_one_that_was_stopped_while_it_asked_for_all_stops_nobody_else() -> None:
    stopped = CancelledError("another run")
    assert wait(Cloud(stopped, {"i-1": "running"})) == "running"


def test_many_builds_ask_together() -> None:
    poller, lock = Poller("instance"), threading.Lock()
    ids = [f"i-{number}" for number in range(20)]
    asked: list[list[str]] = []
    everybody = threading.Event()

    def describe(wanted: Collection[str]) -> Mapping[str, Any]:
        with lock:
            asked.append(list(wanted))
            if len(wanted) == len(ids):
                everybody.set()
        return dict.fromkeys(wanted, "running" if everybody.is_set() else "pending")

    def build(instance: str) -> None:
        poller.wait(instance, describe, is_running, CancelToken(), timeout=60, pace=SLOW)

    threads = [threading.Thread(target=build, args=(each,)) for each in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(map(len, asked)) == len(ids)
    assert len(asked) < 2 * len(ids)


def test_the_pace_is_slower_with_time() -> None:
    pace = Pace(1, 6, 0.05)
    assert [pace.seconds(waited) for waited in (0, 20, 1000)] == [1, 2, 6]
