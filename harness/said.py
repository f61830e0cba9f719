"""Who hears what the current thread prints, logs and warns: where it is a build's, the build."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LISTENER: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def listener() -> Callable[[str], None] | None:
    """What the current thread's words are given to; None: they go where they always go."""
    return _LISTENER.get()


@contextlib.contextmanager
def to(listener: Callable[[str], None]) -> Iterator[None]:
    """Give it the words of this thread, and of those that copy its context."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
