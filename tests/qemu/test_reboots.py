"""A real machine through reboots, and an existing testinfra suite on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

BUILD = """
def boot_id(machine):
    return machine.run("cat /proc/sys/kernel/random/boot_id").stdout

@harness.build(harness.Qemu(), tests=["suite"])
def rebooted(machine):
    boots = [boot_id(machine)]
    # Its own reboot. The kernel came from outside so far: now the disk's boot loader takes over.
    machine.shell("echo one >>/etc/steps", "systemctl reboot", "sleep 60", expect_disconnect=True)
    assert "BOOT_IMAGE=" in machine.run("cat /proc/cmdline").stdout
    boots.append(boot_id(machine))
    # A reboot that is asked for; this time QEMU goes on.
    machine.reboot()
    machine.shell("echo two >>/etc/steps")
    boots.append(boot_id(machine))
    assert len(set(boots)) == 3, boots
    # A connection that goes, and a machine that stays.
    result = machine.shell("pkill -f '^sshd: root@'; sleep 60", expect_disconnect=True)
    assert result.exit_status != 0
    assert boot_id(machine) == boots[-1]
    assert machine.run("ls /tmp").stdout.count("harness-") == 0

def test_both_steps_were_kept(rebooted):
    assert rebooted.file("/etc/steps").content_string == "one\\ntwo\\n"
"""

# As people have it: hosts of its own, conftest.py files, modules and classes.
SUITE = {
    "conftest.py": """
import pytest

@pytest.fixture(scope="module")
def release(host):
    return host.file("/etc/os-release").content_string
""",
    "test_system.py": """
import pytest

testinfra_hosts = ["ssh://production.example.com"]

def test_release(release):
    assert "VERSION_CODENAME=bookworm" in release

@pytest.mark.parametrize("name", ["openssh-server", "systemd"])
def test_package(host, name):
    assert host.package(name).is_installed

class TestSsh:
    def test_service(self, host):
        assert host.service("ssh").is_running

    def test_port(self, host):
        assert host.socket("tcp://0.0.0.0:22").is_listening
""",
}


def test_reboots_and_a_suite_of_checks(vm_project: VmProject) -> None:
    suite = vm_project.path / "suite"
    suite.mkdir()
    for name, text in SUITE.items():
        (suite / name).write_text(text)
    vm_project.write(BUILD)
    outcomes = vm_project.outcomes()
    below = "rebooted::suite/test_system"
    assert outcomes == dict.fromkeys(
        [
            "rebooted::provision[qemu]",
            f"{below}::test_release[qemu]",
            f"{below}::test_package[qemu-openssh-server]",
            f"{below}::test_package[qemu-systemd]",
            f"{below}::TestSsh::test_service[qemu]",
            f"{below}::TestSsh::test_port[qemu]",
            "test_both_steps_were_kept[qemu]",
            "rebooted::image[qemu]",
        ],
        "PASSED",
    )
    assert vm_project.leftovers() == []
