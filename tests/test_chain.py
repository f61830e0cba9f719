"""The chain of provisioning calls, without a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.chain import Chain, chained
from harness.model import CommandResult
from harness.secret import Secret


class Calls:
    """Something with calls, which notes those that are run."""

    def __init__(self, folder: Path, chain: Chain | None) -> None:
        self.folder, self.chain = folder, chain
        self.ran: list[object] = []
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)

    @chained()
    def do(self, what: object, *, env: object = None) -> CommandResult:
        del env
        self.ran.append(what)
        if what == "fail":
            raise RuntimeError(what)
        return CommandResult(str(what), 3, b"\x00out", b"\xfferr")

    @chained("file")
    def use(self, file: str | Path | None = None) -> None:
        self.ran.append(file)


def again(calls: Calls) -> Calls:
    """The next run's, on the same machine."""
    assert calls.chain is not None
    return Calls(calls.folder, Chain(json.loads(json.dumps(calls.chain.record))))


def test_an_answer_from_the_record_is_what_it_was(tmp_path: Path) -> None:
    first = Calls(tmp_path, Chain())
    answer = first.do("a")
    second = again(first)
    assert second.do("a") == answer
    assert second.ran == []
    assert second.told == ["$ do: nothing has changed, not repeated"]


def test_from_the_first_difference_on_everything_runs(tmp_path: Path) -> None:
    first = Calls(tmp_path, Chain())
    for what in "abc":
        first.do(what)
    second = again(first)
    for what in "aXc":
        second.do(what)
    assert second.ran == ["X", "c"]
    assert second.chain is not None
    assert (second.chain.replayed, second.chain.dropped) == (1, 2)
    assert len(second.chain.record) == 3


def test_a_failure_ends_the_record(tmp_path: Path) -> None:
    first = Calls(tmp_path, Chain())
    first.do("a")
    with pytest.raises(RuntimeError):
        first.do("fail")
    first.do("b")
    second = again(first)
    for what in "ab":
        second.do(what)
    assert second.ran == ["b"]


@pytest.mark.parametrize(
    "other",
    ["text", Secret("b"), ["a"], {"a": 1}, None, 1, b"a", Path("a"), {"a"}],
    ids=repr,
)
def test_every_argument_counts(tmp_path: Path, other: object) -> None:
    first = Calls(tmp_path, Chain())
    first.do("a", env=Secret("a"))
    second = again(first)
    second.do("a", env=other)
    assert second.ran == ["a"]
    assert "a" not in [call.get("answer") for call in (first.chain or Chain()).record]


def test_what_is_in_files_counts(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    (folder / "empty").mkdir(parents=True)
    (folder / "page").write_text("one")
    (folder / "link").symlink_to("page")

    calls = Calls(tmp_path, Chain())
    calls.use("site")

    def ran_again() -> bool:
        nonlocal calls
        calls = again(calls)
        calls.use("site")
        return bool(calls.ran)

    assert not ran_again()
    (folder / "page").write_text("two")
    assert ran_again()
    assert not ran_again()
    (folder / "page").chmod(0o755)
    assert ran_again()
    (folder / "link").unlink()
    (folder / "link").symlink_to("empty")
    assert ran_again()
    (folder / "empty").rename(folder / "other")
    assert ran_again()
    (folder / "page").touch()
    assert not ran_again()


def test_without_a_chain_every_call_runs(tmp_path: Path) -> None:
    calls = Calls(tmp_path, None)
    calls.do("a")
    calls.do("a")
    assert calls.ran == ["a", "a"]
