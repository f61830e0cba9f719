"""Patterns that choose builds, wherever somebody may write one.

``--only``, ``machine.only`` and the mark ``harness.only`` mean the same by them: a glob over a
build's name (``web.qemu``), its function, its source's name or type.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def names(build: str, source_type: str) -> tuple[str, ...]:
    """All that a build goes by."""
    function, _, source = build.partition(".")
    return build, function, source, source_type


def match(patterns: Iterable[str], known: Iterable[str]) -> bool:
    """Whether one of the patterns fits one of the names."""
    return any(fnmatch.fnmatchcase(name, p) for name in set(known) for p in patterns)


def check(where: str, patterns: Sequence[object], known: Iterable[str]) -> None:
    """Refuse a pattern that fits no name there is: it would choose nothing, for ever.

    Args:
        where: the call or mark, for the message.
        patterns: as its author wrote them.
        known: every name that means something.

    Raises:
        ConfigurationError: there are no patterns, or one is no text or fits nothing.
    """
    if not patterns:
        raise ConfigurationError(f"{where}() chooses nothing: name builds, as in {where}('qemu')")
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise ConfigurationError(
                f"{where}({pattern!r}): a pattern is a text; write several as {where}('a', 'b-*')"
            )
        if not match([pattern], known):
            raise ConfigurationError(
                f"{where}({pattern!r}): there is no such build, source type or source name; "
                f"there are {', '.join(sorted(set(known)))}"
            )
