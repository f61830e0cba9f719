"""Durations as people write them: seconds, or Packer's "1h30m", "90s", "500ms"; days too."""

from __future__ import annotations

import re

from harness.errors import ConfigurationError

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(d|h|ms|m|s|us|ns)")


def seconds(option: str, value: float | str) -> float:
    """A duration in seconds.

    Args:
        option: what messages call it.
        value: a number of seconds, or a text such as ``"1m30s"``.

    Raises:
        ConfigurationError: it is neither, or negative.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    parts = _PART.findall(str(value))
    if parts and "".join(number + unit for number, unit in parts) == value:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    raise ConfigurationError(
        f'{option}={value!r} is no duration: write seconds as a number, or "90s", "1m30s", "2h"'
    )
