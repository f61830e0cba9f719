"""What makes a method of a machine a provisioning call: it is timed, and a link of the chain."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from harness.chain import step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.chain import Chain
    from harness.stopwatch import Stopwatch

LONGEST_NAME = 60
"""Characters of a call that are shown."""

P = ParamSpec("P")
T = TypeVar("T")


class Provisioned(Protocol):
    """What has methods that are provisioning calls."""

    @property
    def chain(self) -> Chain: ...

    @property
    def stopwatch(self) -> Stopwatch: ...

    @property
    def folder(self) -> Path:
        """Where relative paths of local files start."""

    def tell(self, text: str) -> None: ...


S = TypeVar("S", bound=Provisioned)


def provisioning(
    *named_by: str, files: tuple[str, ...] = (), here: bool = False, fetches: bool = False
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Make a method a provisioning call.

    Args:
        named_by: arguments; the first of them that was given names the call to a person.
        files: arguments that name local files or folders, whose content counts.
        fetches: what it does is done here, with what comes from the machine.
        here: it does its work on this computer, and is no link of the machine's chain.
    """

    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            _, *values = bound.arguments.items()
            given = dict(values)
            name = _name(method.__name__, [given[each] for each in named_by])
            unkept = "" if given.pop("cache", True) else "cache=False"
            link = step(method.__name__, given, files, self.folder, unkept, fetches=fetches)
            run = functools.partial(method, self, *args, **kwargs)
            with self.stopwatch.call(name) as told:
                if here:
                    return cast("T", self.chain.call_here(link, run))
                result = self.chain.call(link, run, told.why)
                if told.reason is None:
                    self.tell(f"$ {name}: nothing has changed, not repeated")
                return cast("T", result)

        return call

    return decorate


def _name(method: str, values: list[Any]) -> str:
    value = next((v for v in values if v), "")
    text = str(value[0] if isinstance(value, tuple) else value).strip()
    line = f"{method} {text}".strip().split("\n")[0]
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"
