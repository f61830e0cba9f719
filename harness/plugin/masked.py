"""pytest's own reports without a run's secrets: failures, locals, captured output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _pytest._code.code import TerminalRepr

if TYPE_CHECKING:
    import pytest

    from harness.masking import Masker


def mask(report: pytest.TestReport, masker: Masker) -> None:
    """Mask what a report tells; what it is found by (its node id, its keywords) stays."""
    report.longrepr = _masked(report.longrepr, masker)
    report.sections = [(name, masker.text(text)) for name, text in report.sections]
    report.user_properties = [(name, masker.value(v)) for name, v in report.user_properties]
    if hasattr(report, "wasxfail"):
        report.wasxfail = masker.text(report.wasxfail)


def _masked(shown: Any, masker: Masker) -> Any:
    """A failure as pytest shows it: a tree of objects, lists and texts."""
    if isinstance(shown, str):
        return masker.shortened(shown)
    if isinstance(shown, list | tuple):
        return type(shown)(_masked(each, masker) for each in shown)
    if isinstance(shown, TerminalRepr):
        for name, value in vars(shown).items():
            setattr(shown, name, _masked(value, masker))
    return shown
