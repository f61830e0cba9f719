"""Where pytest and what builds say share the terminal: never in each other's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from harness.reports.terminal import Terminal


class Turns:
    """Registered while a terminal is shared."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None]:
        with self._terminal.whole():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None]:
        with self._terminal.whole():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_exception_interact(self) -> Generator[None]:
        """With ``--pdb`` it ends when the debugger does."""
        with self._terminal.paused():
            return (yield)

    def pytest_enter_pdb(self) -> None:
        self._terminal.pause()

    def pytest_leave_pdb(self) -> None:
        self._terminal.resume()
