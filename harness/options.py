"""What sources and provisioners have in common: options with names, types and ranges."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from harness.errors import ConfigurationError
from harness.secret import Secret
from harness.variables import variables_in

# What annotations may name although their module imports it for type checkers alone.
_NAMES = {kind.__name__: kind for kind in (Collection, Mapping, Path, Secret, Sequence)}
_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    Secret: "a harness.Secret",
    types.NoneType: "None",
}


class Range(NamedTuple):
    """What a number may be."""

    least: float
    most: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        of = f" of {self.unit}" if self.unit else ""
        return f"{of}, at least {self.least}" + (f", at most {self.most}" if self.most else "")


class Options:
    """The base of frozen dataclasses of options; wrong ones are a sentence, and no `TypeError`.

    Raises:
        ConfigurationError: an option that there is not; a value of another type than its
            annotation says, or out of its range.
    """

    ranges: ClassVar[Mapping[str, Range]] = {}
    instead: ClassVar[Mapping[str, str]] = {}
    """Names that people know from Packer, and what to do here."""
    takes_variables: ClassVar[bool] = False
    """Whether a `harness.var` may stand for a value: somebody puts values into its place."""

    def __new__(cls, *args: Any, **options: Any) -> Self:
        known = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]  # of which this is a base
        positional = [f.name for f in known.values() if not f.kw_only]
        if len(args) > len(positional):
            own = (*vars(cls).get("__annotations__", {}), *known)  # a base's come later
            first = next(name for name in own if name in known)
            raise ConfigurationError(
                f"{cls.__name__}({args[len(positional)]!r}): options are given by name, "
                f"as in {cls.__name__}({first}=...)"
            )
        for name in options:
            if name not in known:
                raise ConfigurationError(f"{cls.__name__} has no option {name!r}{cls._way(name)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for problem in self._type_problems():
            raise ConfigurationError(problem)

    @classmethod
    def _way(cls, name: str) -> str:
        if name in cls.instead:
            return f": {cls.instead[name]}"
        names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]  # as above
        close = difflib.get_close_matches(name, names, n=1)
        return f": did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"

    @classmethod
    def hints(cls) -> Mapping[str, Any]:
        """The type of each option, as far as that is known."""
        try:
            return typing.get_type_hints(cls, localns=_NAMES)
        except NameError:  # somebody else's source, with types for type checkers alone
            return {}

    def _type_problems(self) -> Iterator[str]:
        hints = self.hints()
        for option in dataclasses.fields(self) if hints else ():  # type: ignore[arg-type]  # as above
            value, allowed = getattr(self, option.name), self.ranges.get(option.name)
            if self.takes_variables and any(variables_in(value)):
                continue
            fits = _accepts(hints[option.name], value)
            if fits and (allowed is None or _within(allowed, value)):
                continue
            shown = f"={value!r}" if option.repr else f" is of type {type(value).__name__}"
            yield f"{option.name}{shown}: write {_words(hints[option.name])}{allowed or ''}"


def _within(allowed: Range, value: float) -> bool:
    return value >= allowed.least and (allowed.most is None or value <= allowed.most)


def _accepts(hint: Any, value: object) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_accepts(choice, value) for choice in arguments)
    if origin in (Sequence, Collection):
        if not isinstance(value, origin) or isinstance(value, str | bytes):
            return False
        nested = typing.get_origin(arguments[0]) is Sequence  # which has a check of its own
        return nested or all(_accepts(arguments[0], entry) for entry in value)
    if hint in (int, float) and isinstance(value, bool):
        return False
    if hint is float:
        return isinstance(value, int | float) and math.isfinite(value)
    kind = origin or hint
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def takes_secret(hint: Any) -> bool:
    """Whether a `harness.Secret` may stand for a value of this type, or in it."""
    return hint in (Any, object, Secret) or any(map(takes_secret, typing.get_args(hint)))


def _words(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(map(_words, arguments))
    if origin in (Sequence, Collection):
        return f"a list (each entry {_words(arguments[0])})"
    if origin is Mapping:
        return "a dict"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))
