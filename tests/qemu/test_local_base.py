"""An image file as the base of the next build: cloud-init, a user who is not root, another port."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from tests.qemu import disk_files
from tests.qemu.disk_image import write_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

BUILD = """
@harness.build(harness.Qemu(
    base="base.raw", ssh_username="builder", ssh_port=2222, temporary_key_pair_type="ecdsa",
    pause_before_connecting=0.5, format="raw",
), sudo=True)
def web(machine):
    machine.shell("id -un >/tmp/plain")
    machine.shell("id -un >/etc/as_root", sudo=True)
    machine.shell("echo $UID_OF_ROOT >/etc/env", env={"UID_OF_ROOT": "0"}, sudo=True)
    assert machine.run("hostname").stdout == "debian\\n"
    _users(machine)
    _transfers(machine)
    _deadlines(machine)

def _users(machine):
    whose = 'echo "$(id -un) $HOME $WORD"'
    assert machine.run(whose).stdout.startswith("builder /home/builder")
    assert machine.run(whose, sudo=True, env={"WORD": "it's"}).stdout == "root /root it's\\n"
    assert machine.run(whose, sudo="builder").stdout.startswith("builder")
    assert machine.shell(whose, sudo="games", env={"WORD": "x"}).stdout == "games /usr/games x\\n"
    assert machine.shell(script="whose.sh", sudo="games").stdout == "games\\n"
    assert machine.shell("pwd", sudo="games").stdout == "/usr/games\\n"
    secret = machine.run("cat /proc/[0-9]*/cmdline", sudo=True, env={"WORD": "hidden-word"})
    assert "hidden-word" not in secret.stdout

def _transfers(machine):
    machine.put("whose.sh", "/root/new/", sudo=True)
    machine.write("mine", "/root/new/file", mode=0o600, sudo=True)
    machine.get("/root/new/file", "fetched", sudo=True)
    machine.put("whose.sh", "/usr/games/", sudo="root")

def _deadlines(machine):
    for call in (machine.shell, machine.run):
        with pytest.raises(harness.CommandTimeoutError):
            call("sleep 987", sudo=True, timeout=2)
    assert machine.run("pgrep -f '^sleep 987'").failed

def test_cloud_init_is_done(web):
    assert web.file("/run/cloud-init/result.json").exists

def test_users(web):
    assert web.user().name == "root"
    assert web.file("/tmp/plain").content_string == "builder\\n"
    assert web.file("/etc/as_root").content_string == "root\\n"
    assert web.file("/etc/env").content_string == "0\\n"
    assert web.file("/root/new/file").content_string == "mine"
    assert web.file("/usr/games/whose.sh").user == "root"
"""


# What cloud-init does at any first boot, and the seal does not undo.
CLOUD_INIT = re.compile(
    # The accounts: the one that the seed asked for, and the default one of its configuration.
    r"/etc/(passwd|shadow|group|gshadow|subuid|subgid)-?"
    r"|/etc/sudoers\.d(/90-cloud-init-users)?"
    r"|/home/(builder|debian)(/\.bash_logout|/\.bashrc|/\.profile|/\.ssh)?"
    # Both empty.
    r"|/(root|home/debian)/\.ssh/authorized_keys"
    # It tells grub's package which disk there is.
    r"|/var/cache/debconf/(config|templates)\.dat(-old)?"
    # Folders for scripts, all empty.
    r"|/var/lib/cloud(/handlers|/seed|/scripts(/per-boot|/per-instance|/per-once|/vendor)?)?"
    # Both empty.
    r"|/var/log/cloud-init(-output)?\.log"
)


def test_build_on_a_local_raw_file(vm_project: VmProject, cached_base: Path) -> None:
    base = vm_project.path / "base.raw"
    vm_project.pytester.run("qemu-img", "convert", "-O", "raw", str(cached_base), str(base))
    (vm_project.path / "whose.sh").write_text("#!/bin/sh\nid -un\n")
    (vm_project.path / "whose.sh").chmod(0o600)
    write_files(base, {"/etc/ssh/sshd_config.d/60-port.conf": "Port 2222\n"})
    before = hashlib.sha256(base.read_bytes()).hexdigest()
    vm_project.write(BUILD)
    result = vm_project.run()
    assert result.ret == 0
    assert (vm_project.path / "fetched").read_text() == "mine"
    assert hashlib.sha256(base.read_bytes()).hexdigest() == before
    entry = vm_project.manifest()["web.qemu"]
    assert entry["inputs"]["base"] == {
        "name": "base.raw",
        "checksum": f"sha256:{before}",
    }
    image, stable = vm_project.images()
    assert (image.suffix, stable.name) == (".raw", "web.qemu.raw")
    assert vm_project.leftovers() == []
    changes = disk_files.changes(base, image)
    keys = {path: how for path, how in changes.items() if path.endswith("/authorized_keys")}
    assert set(keys.values()) == {"added empty"}
    provisioned = {path: how for path, how in changes.items() if not CLOUD_INIT.fullmatch(path)}
    assert provisioned == {
        "/etc/as_root": "added",
        "/etc/env": "added",
        "/tmp/plain": "added",
        "/root/new": "added",
        "/root/new/whose.sh": "added",
        "/root/new/file": "added",
        "/usr/games/whose.sh": "added",
        **disk_files.LEFT_BY_BOOTING,
    }
