"""Packer's weak typing: what a value of a template is where an option wants another type.

``"true"`` is true, ``"8"`` is 8, ``8`` is "8", ``"a,b"`` is a list of two, one object is a list of
one. None (JSON's null) is the type's empty value; where it stands for an option, the option is not
set. A text with fields has to get them first (`render`).

Every function raises `TemplateError`, with the value's position, where Packer takes no such value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from harness.packer import durations
from harness.packer.expressions import DeferredText

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.errors import TemplateError
    from harness.packer.values import Value

_Kind = TypeVar("_Kind")

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False", "")
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BITS = 63


def render(value: Value, fields: Mapping[str, object]) -> Value:
    """The value with all its deferred texts rendered.

    Args:
        value: of a plan.
        fields: what texts such as ``{{.Path}}`` and {{build `Host`}} may name; texts, numbers and
            booleans.

    Raises:
        TemplateError: a text names a field that is not among them.
    """
    data = value.data
    if isinstance(data, DeferredText):
        return replace(value, data=data.render(fields))
    if isinstance(data, tuple):
        return replace(value, data=tuple(render(entry, fields) for entry in data))
    if isinstance(data, dict):
        return replace(value, data={name: render(entry, fields) for name, entry in data.items()})
    return value


def as_text(value: Value) -> str:
    """A string; true is "1" and false "0"; null is ""."""
    match render(value, {}).data:
        case str(text):
            return text
        case bool(flag):
            return str(int(flag))
        case int(number):
            return str(number)
        case float(number):
            return _shortest(number)
        case None:
            return ""
    raise _wrong(value, "a string")


def as_bool(value: Value) -> bool:
    """True or false; of a number whether it is not 0, of a string what Go takes ("true", "1")."""
    data = render(value, {}).data
    if data is None or isinstance(data, bool | int | float):
        return bool(data)
    if isinstance(data, str) and data in (*_TRUE, *_FALSE):
        return data in _TRUE
    raise _wrong(value, "true or false")


def as_int(value: Value) -> int:
    """A whole number; of another number what stands before the point, of "" 0; "0x1f" is 31."""
    data = render(value, {}).data
    if data is None or isinstance(data, bool | int | float):
        return _bounded(value, int(data or 0))
    if isinstance(data, str) and (data == "" or _INTEGER.fullmatch(data)):
        return _bounded(value, _integer(value, data or "0"))
    raise _wrong(value, "a whole number")


def as_float(value: Value) -> float:
    """A number; of "" 0."""
    data = render(value, {}).data
    if data is None or isinstance(data, bool | int | float):
        return float(data or 0)
    if isinstance(data, str) and (data == "" or _FLOAT.fullmatch(data)):
        return float(data or 0)
    raise _wrong(value, "a number")


def as_duration(value: Value) -> float:
    """Seconds, of Go's syntax ("1h30m").

    A bare number is refused: Packer takes it for nanoseconds, which nobody means.
    """
    data = render(value, {}).data
    if isinstance(data, str):
        try:
            return durations.seconds(data)
        except ValueError as error:
            raise value.error(str(error)) from None
    if data is None:
        return 0.0
    if isinstance(data, int | float) and not isinstance(data, bool):
        raise value.error(f'this number would be nanoseconds: write "{data}s" for seconds')
    raise _wrong(value, 'a duration, such as "90s"')


def as_list(value: Value, entry: Callable[[Value], _Kind]) -> tuple[_Kind, ...]:
    """A list, its entries converted: ``as_list(value, as_text)``.

    A string is split at commas; any other single value is a list of one.
    """
    rendered = render(value, {})
    match rendered.data:
        case tuple(entries):
            return tuple(entry(one) for one in entries)
        case str(text):
            parts = text.split(",") if text else []
            return tuple(entry(replace(rendered, data=part)) for part in parts)
    return () if rendered.data in (None, {}) else (entry(rendered),)


def as_mapping(value: Value, entry: Callable[[Value], _Kind]) -> dict[str, _Kind]:
    """An object, its values converted; a list of objects is one, later ones winning."""
    found: dict[str, _Kind] = {}
    parts = value.data if isinstance(value.data, tuple) else (value,)
    for part in parts:
        if not isinstance(part.data, Mapping | None):
            raise _wrong(part, "an object")
        found |= {name: entry(render(one, {})) for name, one in part.entries().items()}
    return found


def _shortest(number: float) -> str:
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _integer(value: Value, text: str) -> int:
    digits = text.lstrip("+-").lower()
    base = {"0x": 16, "0b": 2, "0o": 8}.get(digits[:2]) or (8 if digits[:1] == "0" else 10)
    digits = digits[2:].removeprefix("_") if digits[1:2] in ("x", "b", "o") else digits
    try:
        number = int(digits[:100], base)
    except ValueError:
        raise _wrong(value, "a whole number") from None
    return -number if text.startswith("-") else number


def _bounded(value: Value, number: int) -> int:
    if not -(1 << _BITS) <= number < 1 << _BITS:
        raise value.error("this number is too large")
    return number


def _wrong(value: Value, wanted: str) -> TemplateError:
    return value.error(f"{value.what} stands where {wanted} should be")
