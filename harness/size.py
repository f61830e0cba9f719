"""Sizes as people write them: Packer's "10G", "4096M", or a number of MiB."""

from __future__ import annotations

import re

from harness.errors import ConfigurationError

_UNITS = {"": 1 << 20, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(option: str, value: object) -> int:
    """A size in bytes.

    Args:
        option: what messages call it.
        value: a text such as ``"10G"`` or ``"10 GiB"``, or a number of MiB.

    Raises:
        ConfigurationError: it is neither, or nothing.
    """
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
    if not match or int(match[1]) == 0:
        raise ConfigurationError(
            f'{option}={value!r} is no size: write "10G", "4096M", or a number of MiB'
        )
    return int(match[1]) * _UNITS[match[2].upper()]
