"""A machine on a network that is not QEMU's own, let in by a certificate; and it never goes off."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness import keys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# The recipe's machine knows the authority alone, by a systemd credential of ours: no cloud-init.
BUILD = """
@harness.build(harness.Qemu(
    ssh_host="192.0.2.2", ssh_port=22,
    ssh_private_key_file="user", ssh_certificate_file="user-cert.pub",
    qemuargs=[
        ["-netdev", "tap,id=net0,ifname=tap0,script=no,downscript=no"],
        ["-smbios", "type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={}"],
    ],
    shutdown_command="echo not yet; sleep 600", shutdown_timeout=3,
))
def far(machine): pass

def test_the_login(far):
    keys = far.file("/root/.ssh/authorized_keys").content_string
    assert keys.startswith("cert-authority ssh-ed25519 "), "and no temporary key"
    assert far.check_output("echo $SSH_CONNECTION | cut -d' ' -f1,3") == "192.0.2.1 192.0.2.2"
"""

# A namespace of its own, with a network card for the machine and an address to give away.
NETWORK = """
set -e
ip link set lo up
ip tuntap add dev tap0 mode tap
ip address add 192.0.2.1/24 dev tap0
ip link set tap0 up
busybox udhcpd -f "$1" & dhcp=$!
shift
"$@" && status=0 || status=$?
kill $dhcp
exit $status
"""
DHCP = """
start 192.0.2.2
end 192.0.2.2
interface tap0
lease_file {folder}/leases
pidfile {folder}/udhcpd.pid
"""


def test_a_machine_on_a_network_of_ours(vm_project: VmProject, tmp_path: Path) -> None:
    config = tmp_path / "udhcpd.conf"
    config.write_text(DHCP.format(folder=tmp_path))
    (tmp_path / "leases").touch()
    within = ["unshare", "--net", "sh", "-c", NETWORK, "sh", str(config)]
    if subprocess.run([*within, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not make a network in a namespace of its own")
    authority = with_certificate(vm_project.path)
    line = f"cert-authority {authority}"
    vm_project.write(BUILD.format(base64.b64encode(line.encode()).decode()))
    result = vm_project.pytester.run(*within, sys.executable, "-m", "pytest", "-v")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "far.qemu: capture failed",
            "far.qemu-* has not switched itself off within shutdown_timeout=3 s after "
            "shutdown_command; its command went on: echo not yet; sleep 600",
            "  not yet",
        ]
    )
    assert vm_project.manifest()["far.qemu"]["image"] is None
    assert vm_project.images() == []
    assert vm_project.leftovers() == []


def with_certificate(folder: Path) -> str:
    """Write ``user``, a private key, and ``user-cert.pub``; the key of who has signed that."""
    publics = []
    for name in ("authority", "user"):
        private, public = keys.generate_key()
        (folder / name).write_text(private)
        (folder / name).chmod(0o600)
        (folder / f"{name}.pub").write_text(f"{public}\n")
        publics.append(public)
    sign = ["ssh-keygen", "-q", "-s", "authority", "-I", "us", "-n", "root", "user.pub"]
    subprocess.run(sign, cwd=folder, check=True)
    return publics[0]
