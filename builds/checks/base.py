"""What every image must show, whatever it is for: builds name this file in ``tests=``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import harness


def test_it_is_debian_12(host: harness.Host) -> None:
    assert (host.system_info.distribution, host.system_info.codename) == ("debian", "bookworm")


def test_nothing_failed_at_boot(host: harness.Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_ssh_starts_at_boot(host: harness.Host) -> None:
    assert host.service("ssh").is_enabled
