"""pytest's own reports without a run's secrets: failures, locals, captured output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _pytest._code.code import TerminalRepr

if TYPE_CHECKING:
    import pytest

    from harness.masking import Masker


def mask(report: pytest.TestReport, masker: Masker) -> None:
    """Mask what a report tells; what it is found by (its node id, its keywords) stays."""
    report.longrepr = shown(report.longrepr, masker)
    report.sections = [(name, masker.text(text)) for name, text in report.sections]
    report.user_properties = [
        (masker.value(name), masker.value(value)) for name, value in report.user_properties
    ]
    if hasattr(report, "wasxfail"):
        report.wasxfail = masker.text(report.wasxfail)


def shown(failure: Any, masker: Masker) -> Any:
    """A failure as pytest shows it, masked: a tree of objects (themselves), lists and texts."""
    if isinstance(failure, str):
        return masker.shortened(failure)
    if isinstance(failure, list) and failure and all(isinstance(each, str) for each in failure):
        # A secret may go over several lines; those of a native traceback have their ends.
        end = "" if failure[0].endswith("\n") else "\n"
        lines = masker.shortened(end.join(failure))
        return lines.split(end) if end else lines.splitlines(keepends=True)
    if isinstance(failure, list | tuple):
        return type(failure)(shown(each, masker) for each in failure)
    if isinstance(failure, TerminalRepr):
        for name, value in vars(failure).items():
            setattr(failure, name, shown(value, masker))
    return failure
