"""The environment of programs that builds start, while tests run."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from harness import environment

if TYPE_CHECKING:
    import pytest


def test_it_names_no_test_that_runs_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING", "kept")
    assert "PYTEST_CURRENT_TEST" in os.environ
    found = environment.snapshot()
    assert found["SOMETHING"] == "kept"
    assert "PYTEST_CURRENT_TEST" not in found


def test_variables_may_come_and_go_meanwhile() -> None:
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            os.environ["HARNESS_COMES_AND_GOES"] = "x"
            os.environ.pop("HARNESS_COMES_AND_GOES")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(2000):
            environment.snapshot()
    finally:
        over.set()
        thread.join()
