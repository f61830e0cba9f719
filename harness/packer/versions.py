"""``min_packer_version``: whether we are the Packer that a template asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.packer.scope import VERSION

if TYPE_CHECKING:
    from harness.packer.values import Value

# As Packer reads versions: "v1.6", "1.6.0-beta1", "1.6.0+build". What follows the numbers makes a
# version earlier, or the same, so only they decide.
_VERSION = re.compile(
    r"v?([0-9]{1,18}(?:\.[0-9]{1,18})*)(?:-[0-9A-Za-z.~-]*|[A-Za-z~][0-9A-Za-z.~-]*)?"
    r"(?:\+[0-9A-Za-z.~-]+)?"
)


def check(wanted: Value) -> None:
    """Refuse a template for a later Packer than ours.

    Raises:
        TemplateError: it is for a later one, or the text is no version.
    """
    if not isinstance(wanted.data, str):
        raise wanted.error(
            f'min_packer_version is {wanted.what}; it should be a string, as "1.6.6"'
        )
    if not wanted.data:
        return
    match = _VERSION.fullmatch(wanted.data)
    if not match:
        raise wanted.error(f'{wanted.data[:40]!r} is no version; write one as "1.6.6"')
    if _numbers(match[1]) > _numbers(VERSION):
        raise wanted.error(f"this template is for Packer {match[1]} or later; we read {VERSION}'s")


def _numbers(text: str) -> list[int]:
    numbers = [int(number) for number in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
