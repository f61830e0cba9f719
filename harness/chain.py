"""The provisioning calls of a build as a chain, so that a machine that had some need not again.

Each call has a key: a hash of the key before it and what was answered, of the call and its
arguments, and of what is in the local files that it uses. A call whose key is known is answered
from the record. From the first that is new or changed on no key is known any more, and everything
runs.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import math
import os
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.fetched import Player, Recorder
from harness.model import CommandResult
from harness.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from harness.transfer import Streamer

NAMED = 3
"""Changed files that a reason names."""


class OutOfStepError(BaseException):
    """The calls are not those that the machine has had: it is of no use, and this attempt ends.

    No ``except Exception`` of a build function holds it up.
    """


@dataclass(frozen=True)
class Step:
    """What a call is: its name, and a hash of each argument and of each local file that it uses."""

    method: str
    arguments: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    unkept: str = ""
    """Why it is never answered from a record; empty: it may be."""
    fetches: bool = False
    """What it does is done on this computer, with what comes from the machine."""

    def key(self, before: str) -> str:
        return _hash([before, self.method, self.arguments, self.files])


@dataclass(frozen=True)
class Call:
    """A provisioning call that a machine has had, as JSON knows it."""

    key: str
    before: str
    """What `after` is of the call before it; empty: it is the first."""
    method: str
    arguments: Mapping[str, str]
    files: Mapping[str, str]
    at: float
    """When it ended, in seconds since 1970."""
    answer: Mapping[str, Any]

    @property
    def after(self) -> str:
        """A hash of all that was done and answered so far, which names the machine then."""
        return _hash([self.key, self.answer])

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def by_key(calls: Iterable[Call]) -> dict[str, Call]:
    """Of two machines that had the same call, the later one's: what it answered may differ."""
    return {call.key: call for call in sorted(calls, key=lambda call: call.at)}


class Unknown(CommandResult):
    """What a call answered that nobody has made: who looks at it needs a machine."""

    def __init__(self) -> None:
        super().__init__("", 0)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise OutOfStepError(f"{name} of what a call answered")


_TEXTS = ("command", "stdout_bytes", "stderr_bytes")


class Withheld(CommandResult):
    """An answer from the record that had a secret in it, which is not on record.

    Its exit status is known; whoever looks at its texts gets them some other way, or not at all.
    """

    def __init__(self, exit_status: int, look: Callable[[], CommandResult]) -> None:
        super().__init__("", exit_status)
        object.__setattr__(self, "look", functools.cache(look))

    def __getattribute__(self, name: str) -> Any:
        if name in _TEXTS:
            return getattr(object.__getattribute__(self, "look")(), name)
        return super().__getattribute__(name)


class Chain:
    """The calls of a build on one machine.

    Args:
        known: calls by their keys, which are answered from the record.
        reasons: all calls on the record, from which it is told why one ran; None: it is not.
        had: how many calls the machine has had for certain: another call among the first ``had``
            is an `OutOfStepError`. Infinite: there is no machine, only the record.
        before: the attempt before this one; what it ran on this computer is not run again.
        dry: go on without a machine behind a call that is not on the record, as long as nobody
            asks what it answered.
        mask: takes out of bytes what is secret in them, as no record may have it: a secret rotates,
            and the old one would be shown like any text.

    Attributes:
        calls: those that have succeeded, up to the first that did not; for the record.
        replayed: how many of them were answered from the record.
        closed: why nothing is recorded any more; empty: everything is.
        ran: is told of each call that was run and is on the record now, and how long it took.
    """

    def __init__(
        self,
        known: Mapping[str, Call] | None = None,
        *,
        reasons: Mapping[str, Call] | None = None,
        had: float = 0,
        before: Chain | None = None,
        dry: bool = False,
        mask: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._mask = mask
        self._known = known or {}
        self._reasons = reasons
        self._had = had
        self._dry = dry
        self._here = list(before.here) if before else []
        self._thread = threading.get_ident()
        self._archive: bytes | None = None
        self._recorder: Recorder | None = None
        self.here: list[tuple[str, Any]] = []
        self.calls: list[Call] = []
        self.replayed = 0
        self.closed = ""
        self.ran: Callable[[Call, float], None] = lambda _call, _seconds: None

    @property
    def last(self) -> str:
        return self.calls[-1].after if self.calls else ""

    @property
    def has_machine(self) -> bool:
        return math.isfinite(self._had)

    def close(self, reason: str) -> None:
        """Record nothing any more: the calls do not tell what becomes of the machine now."""
        self.closed = self.closed or reason
        if len(self.calls) < self._had:
            raise OutOfStepError(self.closed)

    def require_machine(self, reason: str) -> None:
        """Go on only where there is a machine."""
        if not self.has_machine:
            raise OutOfStepError(reason)

    def call(self, step: Step, run: Callable[[], Any], tell: Callable[[str | None], None]) -> Any:
        """Answer a call from the record, or run it.

        Args:
            step: what it is.
            run: does it.
            tell: is told first why it runs: None, it does not, empty: there is no record.
        """
        if step.unkept:
            self.close(step.unkept)
        if threading.get_ident() != self._thread:
            self.close("calls from two threads")
        key = step.key(self.last)
        if not self.closed and key in self._known:
            tell(None)
            return self._replay(self._known[key], run)
        if self._dry and not self.closed and not step.fetches:
            self.calls.append(self._new(step, key, {}))
            return Unknown()
        reason = self._why(step, key)
        if len(self.calls) < self._had:
            self.close(reason)
        tell(reason)
        return self._run(step, key, run)

    def call_here(self, step: Step, run: Callable[[], Any]) -> Any:
        """Run a call on this computer, once in a run though the function begins anew."""
        key = step.key(self.last)
        before, self._here = self._here[:1], self._here[1:]
        if before and before[0][0] == key:
            result = before[0][1]
        else:
            self._here = []
            result = run()
        self.here.append((key, result))
        return result

    def streamer(self, connect: Callable[[], Streamer]) -> Streamer:
        """Through what a call fetches: the record where it is replayed, else onto the record."""
        if self._archive is not None:
            return Player(self._archive)
        self._recorder = Recorder(connect())
        return self._recorder

    def _replay(self, known: Call, run: Callable[[], Any]) -> Any:
        if "archive" in known.answer:
            self._archive = base64.b64decode(known.answer["archive"])
            try:
                run()  # what it does is done here, with what was fetched then
            finally:
                self._archive = None
        self.replayed += 1
        self.calls.append(known)
        look = functools.partial(self._look, len(self.calls) - 1, run)
        return _result(known.answer, look)

    def _look(self, place: int, run: Callable[[], Any]) -> CommandResult:
        """What a call answered that is not on the record in full, since a secret was in it."""
        if place < self._had:
            if not self.has_machine:  # the machine that is found must not have had it yet
                del self.calls[place:]
            raise OutOfStepError("a secret was in what a call answered, and is not on record")
        result: CommandResult = run()
        return result

    def _run(self, step: Step, key: str, run: Callable[[], Any]) -> Any:
        started, self._recorder = time.monotonic(), None
        try:
            result = run()
        except BaseException:
            # What it has done to the machine is not known.
            self.closed = self.closed or f"{step.method} failed before"
            raise
        archive = self._fetched()
        if archive is None:
            self.closed = self.closed or f"{step.method} before fetched too much to keep"
        if not self.closed:
            self.calls.append(self._new(step, key, _answer(result, archive or b"", self._mask)))
            self.ran(self.calls[-1], time.monotonic() - started)
        return result

    def _new(self, step: Step, key: str, answer: Mapping[str, Any]) -> Call:
        facts = (step.method, step.arguments, step.files)
        return Call(key, self.last, *facts, time.time(), answer)

    def _fetched(self) -> bytes | None:
        return self._recorder.data if self._recorder is not None else b""

    def _why(self, step: Step, key: str) -> str:
        """Why a call is not on the record: what differs from the likest that was in its place."""
        if self._reasons is None or self.closed:
            return self.closed
        if key in self._reasons:
            return "no checkpoint behind it, or too old"
        if not self._reasons:
            return "nothing is saved yet"
        if self.last and all(call.after != self.last for call in self._reasons.values()):
            return "after what is new"
        others = [call for call in self._reasons.values() if call.before == self.last]
        same = [call for call in others if call.method == step.method]
        if not same:
            return "new"
        return f"{_difference(step, max(same, key=functools.partial(_alike, step)))} changed"


def step(
    name: str,
    given: Mapping[str, Any],
    files: Sequence[str] = (),
    folder: Path = Path(),
    unkept: str = "",
    *,
    fetches: bool = False,
) -> Step:
    """A call as the chain knows it.

    Args:
        name: the method's.
        given: its arguments, by name.
        files: which of them name local files or folders.
        folder: where relative paths start.
        unkept: why it is never answered from a record.
        fetches: see `Step`.
    """
    arguments = {key: _hash(_plain(value)) for key, value in given.items()}
    used = [file for key in files if given.get(key) for file in _content(folder, given[key])]
    return Step(name, arguments, dict(used), unkept, fetches)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> Any:
    """A value as JSON knows it; a secret only where it is meant to count, since it rotates."""
    if isinstance(value, Secret):
        return ["secret", value.reveal() if value.counts else ""]
    if isinstance(value, bytes):
        return ["bytes", base64.b64encode(value).decode()]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(v) for v in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    return value if isinstance(value, str | int | float | None) else str(value)


def _content(folder: Path, name: Any) -> Iterator[tuple[str, str]]:
    """What is in a file or folder, with its modes, by paths as the build's author has them."""
    root = folder / name
    found = [root, *sorted(_below(root))] if root.is_dir() else [root]
    for path in found:
        # A link that is named itself is followed, as in copying; those in a folder are copied.
        yield os.path.relpath(path, folder), _hash(_state(path.resolve() if path == root else path))


def _below(root: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(root):
        yield from (Path(where, name) for name in [*folders, *files])


def _state(path: Path) -> list[Any]:
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return ["link", str(path.readlink())]
        if stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                return [status.st_mode, hashlib.file_digest(file, "sha256").hexdigest()]
    except OSError:  # the call itself will say so
        return []
    return [status.st_mode]


def _alike(step: Step, call: Call) -> tuple[int, float]:
    """How many arguments are the same; of two, the later."""
    same = sum(call.arguments.get(name) == value for name, value in step.arguments.items())
    return same, call.at


def _difference(step: Step, call: Call) -> str:
    """What somebody has changed, by its name: arguments, or else the files that they name."""
    names = _changed(step.arguments, call.arguments) or _changed(step.files, call.files)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _changed(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {**then, **now} if now.get(name) != then.get(name))


def _answer(result: object, archive: bytes, mask: Callable[[bytes], bytes]) -> dict[str, Any]:
    if not isinstance(result, CommandResult):
        return {"archive": base64.b64encode(archive).decode()} if archive else {}
    texts = [result.command.encode(errors="surrogateescape")]
    texts += [result.stdout_bytes, result.stderr_bytes]
    masked = [mask(text) for text in texts]
    command, *streams = masked
    return {
        "command": command.decode(errors="surrogateescape"),
        "exit_status": result.exit_status,
        "streams": [base64.b64encode(data).decode() for data in streams],
        **({"withheld": True} if masked != texts else {}),
    }


def _result(answer: Mapping[str, Any], look: Callable[[], CommandResult]) -> CommandResult | None:
    if "command" not in answer:
        return None
    if "withheld" in answer:
        return Withheld(answer["exit_status"], look)
    streams = [base64.b64decode(text) for text in answer["streams"]]
    return CommandResult(answer["command"], answer["exit_status"], *streams)
