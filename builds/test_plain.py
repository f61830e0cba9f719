"""The base as it is, but for a message of the day."""

from __future__ import annotations

import harness

MESSAGE = "Built and proven\n"


@harness.build(
    harness.Qemu(base="debian-12", image_name="plain-{timestamp}"),
    tests=["checks/base.py"],
)
def plain(machine: harness.Machine) -> None:
    machine.write(MESSAGE, "/etc/motd", sudo=True)


def test_the_message_of_the_day(plain: harness.Host) -> None:
    assert plain.file("/etc/motd").content_string == MESSAGE
