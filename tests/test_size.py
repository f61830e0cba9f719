"""Sizes as people write them."""

from __future__ import annotations

import pytest

from harness.errors import ConfigurationError
from harness.size import parse_size

MIB = 1 << 20


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("10G", 10 << 30),
        ("4096M", 4 << 30),
        (512, 512 * MIB),
        ("1 gb", 1 << 30),
        ("20 GiB", 20 << 30),
    ],
)
def test_sizes(value: str | int, size: int) -> None:
    assert parse_size("disk_size", value) == size


@pytest.mark.parametrize("value", ["", "0", "ten", "-1G", "1.5G", True, None])
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"disk_size=.* is no size"):
        parse_size("disk_size", value)
