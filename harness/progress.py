"""Tells of something long while it goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.events import Progress

if TYPE_CHECKING:
    from harness.events import Dispatcher

REPORT_SECONDS = 2.0
"""Before the first report, and between two: what is shorter needs none."""


class Reporter:
    """Called as often as something goes on; tells of it every few seconds.

    Args:
        events: whom it tells.
        build: whose it is.
        what: what it is: ``downloading debian.qcow2``.
    """

    def __init__(self, events: Dispatcher, build: str, what: str) -> None:
        self._events = events
        self._build = build
        self._what = what
        self._told = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """So many bytes are done, of so many; None: nobody knows of how many."""
        if time.monotonic() - self._told >= REPORT_SECONDS:
            self._told = time.monotonic()
            self._events.emit(Progress(self._build, self._what, done, total))
