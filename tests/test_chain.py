"""The chain of provisioning calls, without a machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from harness import fetched
from harness.calls import provisioning
from harness.chain import Call, Chain, OutOfStepError, by_key
from harness.events import CallFinished, Dispatcher
from harness.model import CommandResult
from harness.secret import Secret
from harness.stopwatch import Stopwatch


class Machine:
    """Something with calls, which notes those that are run."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self.folder, self.chain = folder, chain
        self.ran: list[object] = []
        self.got: list[bytes] = []
        self.told: list[str] = []
        self.reasons: list[str | None] = []
        events = Dispatcher()
        events.subscribe(
            lambda e: self.reasons.append(e.reason) if isinstance(e, CallFinished) else None
        )
        self.stopwatch = Stopwatch("web.fake", events)
        self._stage = contextlib.ExitStack()
        self._stage.enter_context(self.stopwatch.stage("provision"))

    def tell(self, text: str) -> None:
        self.told.append(text)

    @provisioning("what")
    def do(self, what: object, *, env: object = None, cache: bool = True) -> CommandResult:
        del env, cache
        self.ran.append(what)
        if what == "fail":
            raise RuntimeError(what)
        return CommandResult(str(what), 3, b"\x00out", b"\xfferr")

    @provisioning("file", files=("file",))
    def use(self, file: str | Path | None = None) -> None:
        self.ran.append(file)

    @provisioning("what")
    def get(self, what: str) -> None:
        with self.chain.streamer(lambda: Wire(self, what)).stream("") as stream:
            while data := stream.read(4):
                self.got.append(data)

    @provisioning("what", here=True)
    def here(self, what: str) -> str:
        self.ran.append(what)
        return what.upper()


class Wire(fetched.Player):
    """What a machine sends; it notes that it was asked."""

    def __init__(self, machine: Machine, what: str) -> None:
        super().__init__(what.encode())
        machine.ran.append(what)

    def stream(self, command: str, *, text: str | None = None, timeout: float | None = None) -> Any:
        return super().stream(command, text=text, timeout=timeout)


def first(folder: Path) -> Machine:
    return Machine(folder, Chain())


def again(machine: Machine, **options: Any) -> Machine:
    """The next run's, on the same machine."""
    calls = json.loads(json.dumps([call.as_dict() for call in machine.chain.calls]))
    known = by_key(Call(**call) for call in calls)
    return Machine(machine.folder, Chain(known, reasons=known, **options))


def test_an_answer_from_the_record_is_what_it_was(tmp_path: Path) -> None:
    one = first(tmp_path)
    answer = one.do("a")
    two = again(one)
    assert two.do("a") == answer
    assert two.ran == []
    assert two.told == ["$ do a: nothing has changed, not repeated"]
    assert two.reasons == [None]


def test_what_was_fetched_comes_from_the_record(tmp_path: Path) -> None:
    one = first(tmp_path)
    one.get("some content")
    two = again(one)
    two.get("some content")
    assert two.ran == []
    assert two.got == one.got
    assert two.chain.replayed == 1


def test_what_is_too_large_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched, "LARGEST", 10)
    one = first(tmp_path)
    one.do("a")
    one.get("0123456789")
    one.get("0123456789a")
    one.do("b")
    assert [call.method for call in one.chain.calls] == ["do", "get"]
    assert one.chain.closed == "get before fetched too much to keep"


def test_from_the_first_difference_on_everything_runs(tmp_path: Path) -> None:
    one = first(tmp_path)
    for what in "abc":
        one.do(what)
    two = again(one)
    for what in "aXc":
        two.do(what)
    assert two.ran == ["X", "c"]
    assert two.chain.replayed == 1
    assert len(two.chain.calls) == 3
    assert two.reasons == [None, "what changed", "after what is new"]


def test_a_failure_ends_the_record(tmp_path: Path) -> None:
    one = first(tmp_path)
    one.do("a")
    with pytest.raises(RuntimeError):
        one.do("fail")
    one.do("b")
    two = again(one)
    for what in "ab":
        two.do(what)
    assert two.ran == ["b"]


@pytest.mark.parametrize(
    "other",
    ["text", Secret("b", counts=True), ["a"], {"a": 1}, None, 1, b"a", Path("a"), {"a"}],
    ids=repr,
)
def test_every_argument_counts(tmp_path: Path, other: object) -> None:
    one = first(tmp_path)
    one.do("a", env=Secret("a", counts=True))
    two = again(one)
    two.do("a", env=other)
    assert two.ran == ["a"]
    assert two.reasons == ["env changed"]


def test_a_secret_may_rotate(tmp_path: Path) -> None:
    one = first(tmp_path)
    one.do("a", env={"TOKEN": Secret("one")})
    two = again(one)
    two.do("a", env={"TOKEN": Secret("two")})
    assert two.ran == []


def test_what_is_in_files_counts(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    (folder / "empty").mkdir(parents=True)
    (folder / "page").write_text("one")
    (folder / "link").symlink_to("page")

    machine = first(tmp_path)
    machine.use("site")

    def why() -> str | None:
        nonlocal machine
        machine = again(machine)
        machine.use("site")
        assert bool(machine.ran) == (machine.reasons != [None])
        return machine.reasons[0]

    assert why() is None
    (folder / "page").write_text("two")
    assert why() == "site/page changed"
    assert why() is None
    (folder / "page").chmod(0o755)
    assert why() == "site/page changed"
    (folder / "link").unlink()
    (folder / "link").symlink_to("empty")
    assert why() == "site/link changed"
    (folder / "empty").rename(folder / "other")
    assert why() == "site/empty, site/other changed"
    (folder / "page").touch()
    assert why() is None
    for number in range(9):
        (folder / f"new-{number}").touch()
    assert why() == "site/new-0, site/new-1, site/new-2 and 6 more changed"


def test_a_named_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("one")
    (tmp_path / "link").symlink_to("real")
    one = first(tmp_path)
    one.use("link")
    (tmp_path / "real").write_text("two")
    two = again(one)
    two.use("link")
    assert two.reasons == ["link changed"]


def test_another_answer_is_another_machine(tmp_path: Path) -> None:
    """What follows a call is not known from a machine on which the call answered otherwise."""
    one, two = first(tmp_path), first(tmp_path)
    one.get("a")
    two.get("a")
    assert one.chain.last == two.chain.last
    one.do("b")
    two.chain.calls[-1] = dataclasses.replace(two.chain.calls[-1], answer={})
    two.do("b")
    assert [c.key for c in one.chain.calls] != [c.key for c in two.chain.calls]


def test_what_is_not_to_be_kept_ends_the_record(tmp_path: Path) -> None:
    one = first(tmp_path)
    one.do("a")
    one.do("b", cache=False)
    one.do("c")
    two = again(one)
    for what in "ac":
        two.do(what)
    two.do("b", cache=False)
    assert two.ran == ["c", "b"]


def test_a_call_from_another_thread_ends_the_record(tmp_path: Path) -> None:
    one = first(tmp_path)
    one.do("a")
    thread = threading.Thread(target=one.do, args=["b"])
    thread.start()
    thread.join()
    one.do("c")
    assert [call.method for call in one.chain.calls] == ["do"]
    assert one.chain.closed == "calls from two threads"


def test_a_machine_that_had_other_calls_is_of_no_use(tmp_path: Path) -> None:
    one = first(tmp_path)
    for what in "ab":
        one.do(what)
    two = again(one, had=2)
    two.do("a")
    with pytest.raises(OutOfStepError):
        two.do("X")
    three = again(one, had=2)
    for what in "abX":
        three.do(what)
    assert three.ran == ["X"]


def test_a_rehearsal_ends_at_the_first_call_that_is_new(tmp_path: Path) -> None:
    one = first(tmp_path)
    one.do("a")
    rehearsal = again(one, had=math.inf)
    rehearsal.do("a")
    with pytest.raises(OutOfStepError):
        rehearsal.do("b")
    with pytest.raises(OutOfStepError):
        rehearsal.do("a")
    assert rehearsal.ran == []
    assert len(rehearsal.chain.calls) == 1


def test_what_a_rehearsal_ran_here_is_not_run_again(tmp_path: Path) -> None:
    rehearsal = Machine(tmp_path, Chain(had=math.inf))
    assert rehearsal.here("make") == "MAKE"
    assert rehearsal.here("pack") == "PACK"
    machine = Machine(tmp_path, Chain(before=rehearsal.chain))
    assert machine.here("make") == "MAKE"
    assert machine.here("another") == "ANOTHER"
    assert machine.here("pack") == "PACK"
    assert machine.ran == ["another", "pack"]


def test_without_a_record_no_reason_is_told(tmp_path: Path) -> None:
    machine = first(tmp_path)
    machine.do("a")
    machine.do("a")
    assert machine.ran == ["a", "a"]
    assert machine.reasons == ["", ""]


def masked(data: bytes) -> bytes:
    return data.replace(b"s3cret", b"***")


def test_what_is_secret_in_an_answer_is_not_on_record(tmp_path: Path) -> None:
    one = Machine(tmp_path, Chain(mask=masked))
    assert one.do("a s3cret").command == "a s3cret"
    one.do("b")
    assert "s3cret" not in json.dumps([call.as_dict() for call in one.chain.calls])
    assert one.chain.calls[0].answer["command"] == "a ***"
    # As long as nobody looks, it is like any other.
    two = again(one, had=2)
    assert two.do("a s3cret").exit_status == 3
    assert two.do("b").command == "b"
    assert two.ran == []


def test_who_looks_at_it_gets_a_machine_that_has_not_had_the_call(tmp_path: Path) -> None:
    one = Machine(tmp_path, Chain(mask=masked))
    for what in ("a", "s3cret", "c"):
        one.do(what)
    rehearsal = again(one, had=math.inf)
    rehearsal.do("a")
    answer = rehearsal.do("s3cret")
    rehearsal.do("c")
    with pytest.raises(OutOfStepError):
        _ = answer.stdout
    assert [call.method for call in rehearsal.chain.calls] == ["do"]
    resumed = again(one, had=3)
    resumed.do("a")
    with pytest.raises(OutOfStepError):
        _ = resumed.do("s3cret").stdout


def test_on_an_attached_machine_the_call_is_made_again(tmp_path: Path) -> None:
    one = Machine(tmp_path, Chain(mask=masked))
    one.do("s3cret")
    two = again(one)
    answer = two.do("s3cret")
    assert two.ran == []
    assert answer.command == "s3cret"
    assert answer.stdout == "\0out"
    assert two.ran == ["s3cret"]
