"""An image file as the base of the next build: cloud-init, and a user who is not root."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from harness.sources.qemu import bases, recipes
from tests.qemu import disk_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

BUILD = """
@harness.build(harness.Qemu(base="base.raw", ssh_username="builder", format="raw"))
def web(machine):
    machine.shell("id -un >/tmp/plain")
    machine.shell("id -un >/etc/as_root", sudo=True)
    machine.shell("echo $UID_OF_ROOT >/etc/env", env={"UID_OF_ROOT": "0"}, sudo=True)
    assert machine.run("hostname").stdout == "debian\\n"

def test_cloud_init_is_done(web):
    assert web.file("/run/cloud-init/result.json").exists

def test_users(web):
    assert web.user().name == "builder"
    assert web.file("/tmp/plain").content_string == "builder\\n"
    assert web.file("/etc/as_root").content_string == "root\\n"
    assert web.file("/etc/env").content_string == "0\\n"
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
    before = hashlib.sha256(base.read_bytes()).hexdigest()
    vm_project.write(BUILD)
    result = vm_project.run()
    assert result.ret == 0
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
        **disk_files.LEFT_BY_BOOTING,
    }


@pytest.fixture
def cached_base(vm_project: VmProject) -> Path:
    """The recipe's disk, which an earlier test may not have made yet."""
    where = bases.recipe_directory(recipes.RECIPES["debian-12"])
    if not where.exists():
        vm_project.write(
            "@harness.build(harness.Qemu())\ndef b(machine): pass\ndef test_b(b): pass\n"
        )
        assert vm_project.run("-k", "provision").ret == 0
    return where / "disk.qcow2"
