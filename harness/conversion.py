"""What somebody gives for a variable, as the type that it is of."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigurationError
from harness.secret import MASK, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.variables import Variable

TYPES: dict[Any, str] = {
    str: 'a text; in a file, quote it, as in "12"',
    int: "a whole number, as in 8",
    float: "a number, as in 0.5",
    bool: "true or false",
    Path: "a path",
    list: 'a list: a,b or ["a", "b"]',
}
"""What a variable may be of, and what messages call it."""
_TRUTH = {"true": True, "yes": True, "on": True, "1": True}
_TRUTH |= {"false": False, "no": False, "off": False, "0": False}


def convert(variable: Variable, given: object, origin: str) -> Any:
    """A value of the variable's type, secret if the variable is sensitive.

    Args:
        variable: the variable.
        given: a text, or what a file or ``default=`` has.
        origin: where it comes from.

    Raises:
        ConfigurationError: it is none; names the variable, the value and its origin.
    """
    if given is None and variable.default is None:
        return None
    try:
        value = (
            _FROM_TEXT[variable.type](given)
            if isinstance(given, str)
            else _typed(variable.type, given)
        )
        return _secret(value) if variable.sensitive else value
    except ValueError:
        shown = MASK if variable.sensitive else repr(given)
        raise ConfigurationError(
            f"the variable {variable.name!r}: {shown} (from {origin}) is not "
            f"{TYPES[variable.type]} ({variable.place})"
        ) from None


def text(value: object) -> str:
    """A value inside a text.

    Raises:
        ValueError: it is none: there is nothing that could stand there.
    """
    if value is None:
        raise ValueError(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(text, value))
    return value.reveal() if isinstance(value, Secret) else str(value)


def _secret(value: Any) -> Any:
    return [Secret(text(v)) for v in value] if isinstance(value, list) else Secret(value)


def _typed(kind: Any, given: object) -> Any:
    """A value that is no text, if it is of the type."""
    if kind is list and isinstance(given, list | tuple):
        return [*given]
    if kind is Path and isinstance(given, PurePath):
        return _at_home(given)
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if kind is float and is_number:
        return _finite(given)
    if kind in (int, bool) and type(given) is kind:
        return given
    raise ValueError(given)


def _whole(given: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", given.strip()):
        raise ValueError(given)
    return int(given)


def _finite(given: Any) -> float:
    number = float(given)
    if not math.isfinite(number):
        raise ValueError(given)
    return number


def _truth(given: str) -> bool:
    if given.strip().lower() not in _TRUTH:
        raise ValueError(given)
    return _TRUTH[given.strip().lower()]


def _path(given: str) -> Path:
    if not given.strip():  # which would be the current folder
        raise ValueError(given)
    return _at_home(given)


def _at_home(given: str | PurePath) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError:  # there is no such user
        raise ValueError(given) from None


def _list(given: str) -> list[Any]:
    if given.lstrip().startswith("["):
        listed: list[Any] = json.loads(given)
        return listed
    return [entry.strip() for entry in given.split(",")] if given.strip() else []


_FROM_TEXT: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _whole,
    float: _finite,
    bool: _truth,
    Path: _path,
    list: _list,
}
