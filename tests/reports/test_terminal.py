"""A log's lines by the clock."""

from __future__ import annotations

from harness.events import Output, Progress, StageStarted
from harness.reports.board import Board, duration
from harness.reports.terminal import Log

WEB = "web.qemu"


def test_a_silent_build_says_each_minute_that_it_is_alive() -> None:
    board = Board()
    log = Log(board)
    started = StageStarted(WEB, "provision")
    board.take(started, 100)
    assert [*log.lines(started, 100)] == ["web.qemu: provision"]
    board.take(Output(WEB, "stdout", b"Setting up nginx\n\n"), 101)
    told = {now: list(log.heartbeats(now)) for now in range(100, 300)}
    assert {now: lines for now, lines in told.items() if lines} == {
        160: ["web.qemu: provision, 1 min: Setting up nginx"],
        220: ["web.qemu: provision, 2 min: Setting up nginx"],
        280: ["web.qemu: provision, 3 min: Setting up nginx"],
    }


def test_of_a_transfer_it_tells_now_and_then() -> None:
    log = Log(Board())
    told = [now for now in range(61) for _ in log.lines(Progress(WEB, "x", now, 100), now)]
    assert told == [0, 15, 30, 45, 60]


def test_durations_are_as_people_say_them() -> None:
    said = [duration(seconds) for seconds in (0.9, 59, 60, 192, 3600, 7500)]
    assert said == ["0 s", "59 s", "1 min", "3 min 12 s", "1 h 0 min", "2 h 5 min"]
