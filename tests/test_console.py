from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.console import Watch, tail, trouble

if TYPE_CHECKING:
    from pathlib import Path


CLOUD_INIT = "[   84.1] cloud-init[393]: 2026-11-22 22:35:10,555"
FAILED = "[\x1b[0;1;31mFAILED\x1b[0m]"


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (
            "[    2.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x100\r\n",
            "its kernel panicked: Attempted to kill init! exitcode=0x100",
        ),
        (
            "ALERT!  UUID=5b does not exist.  Dropping to a shell!\r\n",
            "it has no root file system: UUID=5b does not exist.  Dropping to a shell!",
        ),
        (
            "No init found. Try passing init= bootarg.\n",
            "it has no root file system: No init found",
        ),
        (
            'You are in emergency mode. After logging in, type "journalctl -xb"\n',
            "systemd gave up: You are in emergency mode",
        ),
        (
            f"{FAILED} Failed to start \x1b[0;1;39mcloud-init.service\x1b[0m - x.\r\n",
            "cloud-init failed: Failed to start cloud-init.service - x.",
        ),
        (
            "[\x1b[0;1;31mFAILED\x1b[0m] Failed to start \x1b[0;1;39mapparmor.service\x1b[0m.\n",
            None,
        ),
        ("[    2.1] Linux version 6.1.0\n[  OK  ] Started cloud-init.service - x.\r\n", None),
        ("", None),
    ],
)
def test_trouble(printed: str, told: str | None) -> None:
    assert trouble(printed.encode()) == told


def test_tail_is_plain_text() -> None:
    assert tail(b"") == ""
    assert tail(b"\r\n\r\n") == ""
    assert tail(b"\x1b[2J\x1b[01;01Hone\r\ntwo \xff\r\n") == "console:\n  one\n  two \ufffd"


def test_a_watch_sees_what_comes_in_pieces_and_remembers(tmp_path: Path) -> None:
    file = tmp_path / "console.log"
    file.touch()
    watch = Watch(file)
    assert watch.trouble() is None
    with file.open("ab", buffering=0) as console:
        console.write(b"booting\nKernel panic - not syn")
        assert watch.trouble() is None
        console.write(b"cing: VFS\r\n")
        assert watch.trouble() == "its kernel panicked: VFS"
        console.write(b"end\n")
        assert watch.trouble() == "its kernel panicked: VFS"
