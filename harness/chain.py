"""The provisioning calls of a build as a chain, so that a machine that had some need not again.

A call's key is a hash of what it is: its arguments, and what is in the local files that it uses.
As long as a build function asks for the same calls in the same order, each is answered from the
record. The first that is another, and all after it, are run.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import inspect
import json
import os
import stat
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from harness.model import CommandResult
from harness.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")


class Chain:
    """The calls of a build on one machine.

    Args:
        recorded: what `record` gave, of the calls that the machine has had already.

    Attributes:
        replayed: how many calls were answered from the record.
    """

    def __init__(self, recorded: Sequence[Mapping[str, Any]] = ()) -> None:
        self._recorded = list(recorded)
        self._had = len(self._recorded)
        self._calls: list[Mapping[str, Any]] = []
        self._open = True
        self.replayed = 0

    @property
    def record(self) -> list[Mapping[str, Any]]:
        """The calls that have succeeded, up to the first that did not; JSON knows it."""
        return self._calls

    @property
    def dropped(self) -> int:
        """How many calls the machine has had that nobody asked for again."""
        return self._had - self.replayed

    def call(self, key: str, run: Callable[[], Any]) -> Any:
        """Answer a call from the record, or run it."""
        position = len(self._calls)
        known: Mapping[str, Any] = {}
        if self._open and position < len(self._recorded):
            known = self._recorded[position]
        if known.get("key") == key:
            self.replayed += 1
            self._calls.append(known)
            return _result(known["answer"])
        self._recorded = self._recorded[:position]
        try:
            answer = run()
        except BaseException:
            self._open = False  # what it has done to the machine is not known
            raise
        if self._open:
            self._calls.append({"key": key, "answer": _answer(answer)})
        return answer


class Chained(Protocol):
    """What has methods that are `chained`."""

    @property
    def chain(self) -> Chain | None: ...

    @property
    def folder(self) -> Path:
        """Where relative paths of local files start."""

    def tell(self, text: str) -> None: ...


S = TypeVar("S", bound=Chained)


def chained(
    *files: str,
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Make a method a link of its object's chain; these arguments of it name local files."""

    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            chain = self.chain
            if chain is None:
                return method(self, *args, **kwargs)
            given = signature.bind(self, *args, **kwargs)
            given.apply_defaults()
            values = list(given.arguments.items())[1:]
            contents = [_content(self.folder, v) for k, v in values if k in files and v]
            before = chain.replayed
            answer: T = chain.call(
                _hash([method.__name__, _plain(values), contents]),
                lambda: method(self, *args, **kwargs),
            )
            if chain.replayed > before:
                self.tell(f"$ {method.__name__}: nothing has changed, not repeated")
            return answer

        return call

    return decorate


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> Any:
    """A value as JSON knows it; a secret counts by what it is, and only its hash is kept."""
    if isinstance(value, Secret):
        return ["secret", value.reveal()]
    if isinstance(value, bytes):
        return ["bytes", base64.b64encode(value).decode()]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(v) for v in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    return value if isinstance(value, str | int | float | None) else str(value)


def _content(folder: Path, name: Any) -> list[list[Any]]:
    """What is in a file or folder, with its modes; nothing where it cannot be read."""
    root = folder / name
    found = [root, *sorted(_below(str(root), folder))] if root.is_dir() else [root]
    return [[os.path.relpath(path, root), *_state(path)] for path in found]


def _below(root: str, folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(root):
        yield from (folder / where / name for name in [*folders, *files])


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


def _answer(result: object) -> dict[str, Any] | None:
    if not isinstance(result, CommandResult):
        return None
    streams = (result.stdout_bytes, result.stderr_bytes)
    texts = [base64.b64encode(data).decode() for data in streams]
    return {"command": result.command, "exit_status": result.exit_status, "streams": texts}


def _result(answer: dict[str, Any] | None) -> CommandResult | None:
    if answer is None:
        return None
    streams = [base64.b64decode(text) for text in answer["streams"]]
    return CommandResult(answer["command"], answer["exit_status"], *streams)
