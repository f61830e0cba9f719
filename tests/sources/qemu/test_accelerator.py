"""The choice of an accelerator, with a machine that starts or does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigurationError
from harness.events import Event, Notice
from harness.sources.qemu import accelerator

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sources.base import Context


class Machine:
    """Prints a kernel's first line with the accelerators that work."""

    def __init__(self, console: Path, *works: str) -> None:
        self.console = console
        self.works = works
        self.begun: list[str] = []

    def begin(self, chosen: str) -> None:
        self.begun.append(chosen)
        line = b"Linux version 6.1\r\n" if chosen in self.works else b"Booting from ROM..\r\n"
        self.console.write_bytes(line)

    def ended(self) -> str | None:
        return None


@pytest.fixture(autouse=True)
def computer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer that seems to have KVM, and little patience."""
    monkeypatch.setattr(accelerator, "_candidate", lambda: "kvm")
    monkeypatch.setattr(accelerator, "host", lambda name: f"{name}-here")
    monkeypatch.setattr(accelerator, "PROOF_SECONDS", 0.2)
    monkeypatch.setattr(accelerator, "PATIENCE_SECONDS", 0.2)


def start(context: Context, *works: str, wanted: str = "auto", prints: bool = True) -> list[str]:
    machine = Machine(context.root / "console.log", *works)
    accelerator.start(machine, wanted, context, begin=machine.begin, prints=prints)  # type: ignore[arg-type]  # as much of a machine as it looks at
    return machine.begun


def test_what_works_is_used_and_remembered(context: Context, events: list[Event]) -> None:
    assert start(context, "kvm") == ["kvm"]
    assert start(context) == ["kvm"], "on trust, though nothing is printed now"
    assert events == []


def test_what_does_not_work_is_told_once_and_remembered(
    context: Context, events: list[Event]
) -> None:
    assert start(context) == ["kvm", "tcg"]
    assert start(context, "kvm") == ["tcg"]
    (notice,) = events
    assert isinstance(notice, Notice)
    assert "kvm did not start the guest, using tcg, which is slower (remembered" in notice.text


def test_the_silence_of_an_unknown_guest_proves_nothing(context: Context) -> None:
    assert start(context, prints=False) == ["kvm", "tcg"]
    assert start(context, "kvm", prints=False) == ["kvm"]


@pytest.mark.parametrize("wanted", ["kvm", "hvf", "tcg"])
def test_what_is_asked_for_is_used(context: Context, wanted: str) -> None:
    assert start(context, wanted=wanted) == [wanted]


def test_a_missing_kvm_is_told_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "_KVM", "/nowhere/kvm")
    with pytest.raises(ConfigurationError, match="/nowhere/kvm is not there"):
        accelerator.check("kvm")
    monkeypatch.setattr(accelerator, "_KVM", os.devnull)
    for wanted in accelerator.CHOICES:
        accelerator.check(wanted)
