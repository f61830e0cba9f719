"""Packer's two ways to write an instant: Go's layouts, and strftime's codes.

A Go layout shows how one certain instant would be written, Mon Jan 2 15:04:05 MST 2006. All is
UTC and English, whatever the computer's own settings are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

ISO = "2006-01-02T15:04:05Z07:00"
"""The layout that `isotime` has by itself: RFC 3339."""

_MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

# Where several fit, the first does: Go tries them in this order.
_LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST"
    r"|002|0[1-6]|15|1|2006|2|_2(?!006)|__2|3|4|5|PM|pm"
    r"|-07(?::?00){0,2}|Z07(?::?00){0,2}"
    r"|[.,](?:0+|9+)(?![0-9])"
)
_CODE = re.compile(r"%(.)", re.DOTALL)


def _month(t: datetime) -> str:
    return _MONTHS[t.month - 1]


def _day(t: datetime) -> str:
    return _DAYS[t.weekday()]


def _hour12(t: datetime) -> int:
    return t.hour % 12 or 12


def _half(t: datetime) -> str:
    return "AM" if t.hour < 12 else "PM"  # noqa: PLR2004 - noon


def _year_day(t: datetime) -> int:
    return t.timetuple().tm_yday


_ELEMENTS: dict[str, Callable[[datetime], object]] = {
    "January": _month,
    "Jan": lambda t: _month(t)[:3],
    "Monday": _day,
    "Mon": lambda t: _day(t)[:3],
    "MST": lambda _: "UTC",
    "002": lambda t: f"{_year_day(t):03}",
    "01": lambda t: f"{t.month:02}",
    "02": lambda t: f"{t.day:02}",
    "03": lambda t: f"{_hour12(t):02}",
    "04": lambda t: f"{t.minute:02}",
    "05": lambda t: f"{t.second:02}",
    "06": lambda t: f"{t.year % 100:02}",
    "15": lambda t: f"{t.hour:02}",
    "1": lambda t: t.month,
    "2006": lambda t: f"{t.year:04}",
    "2": lambda t: t.day,
    "_2": lambda t: f"{t.day:2}",
    "__2": lambda t: f"{_year_day(t):3}",
    "3": _hour12,
    "4": lambda t: t.minute,
    "5": lambda t: t.second,
    "PM": _half,
    "pm": lambda t: _half(t).lower(),
}
_CODES: dict[str, Callable[[datetime], object]] = {
    "a": _ELEMENTS["Mon"],
    "A": _day,
    "b": _ELEMENTS["Jan"],
    "B": _month,
    "d": _ELEMENTS["02"],
    "H": _ELEMENTS["15"],
    "I": _ELEMENTS["03"],
    "j": _ELEMENTS["002"],
    "m": _ELEMENTS["01"],
    "M": _ELEMENTS["04"],
    "p": _half,
    "S": _ELEMENTS["05"],
    "y": _ELEMENTS["06"],
    "Y": _ELEMENTS["2006"],
    "z": lambda _: "+0000",
    "Z": lambda _: "UTC",
    "%": lambda _: "%",
}


def isotime(instant: datetime, layout: str) -> str:
    """An instant (in UTC) as a Go layout writes it: ``isotime(t, "20060102")``."""
    return _LAYOUT.sub(lambda match: _element(instant, match[0]), layout)


def strftime(instant: datetime, format: str) -> str:
    """An instant (in UTC) by strftime's codes: ``strftime(t, "%Y-%m-%d")``.

    Raises:
        ValueError: a code that there is not; the message lists those that there are.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] not in _CODES:
            known = " ".join(f"%{code}" for code in _CODES)
            raise ValueError(f"strftime has no code {match[0]!r}; there are {known}")
        return str(_CODES[match[1]](instant))

    return _CODE.sub(replace, format)


def _element(t: datetime, element: str) -> str:
    if element in _ELEMENTS:
        return str(_ELEMENTS[element](t))
    if element[0] == "Z":
        return "Z"
    if element[0] == "-":
        return "+" + element[1:].replace("7", "0")
    digits = f"{t.microsecond:06}000"[: len(element) - 1].ljust(len(element) - 1, "0")
    if element[1] == "0":
        return element[0] + digits
    return (element[0] + digits).rstrip("0").rstrip(".,")
