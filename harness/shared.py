"""What the builds of one run have in common, such as a cloud's clients: made once, by whoever
needs it first.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class Shared:
    """A run's; two runs in one process do not meet."""

    def __init__(self) -> None:
        self._things: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing of this key; the first call makes it, while others wait."""
        with self._lock:
            if key not in self._things:
                self._things[key] = make()
            return cast("T", self._things[key])
