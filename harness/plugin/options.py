"""The harness's own options of the pytest command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "machine images")
    group.addoption(
        "--cold",
        action="store_true",
        help="boot every machine from the start, though a saved one could be resumed",
    )
