"""An image file as the base of the next build: cloud-init, a user who is not root, another port."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.qemu.disk_image import write_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

BUILD = """
@harness.build(harness.Qemu(
    base="base.raw", ssh_username="builder", ssh_port=2222, temporary_key_pair_type="ecdsa",
    pause_before_connecting=0.5, format="raw",
))
def web(machine):
    machine.shell("id -un >/tmp/plain")
    machine.shell("id -un >/etc/as_root", sudo=True)
    machine.shell("echo $UID_OF_ROOT >/etc/env", env={"UID_OF_ROOT": "0"}, sudo=True)

def test_cloud_init_is_done(web):
    assert web.file("/run/cloud-init/result.json").exists

def test_users(web):
    assert web.user().name == "builder"
    assert web.file("/tmp/plain").content_string == "builder\\n"
    assert web.file("/etc/as_root").content_string == "root\\n"
    assert web.file("/etc/env").content_string == "0\\n"
"""


def test_build_on_a_local_raw_file(vm_project: VmProject, cached_base: Path) -> None:
    base = vm_project.path / "base.raw"
    vm_project.pytester.run("qemu-img", "convert", "-O", "raw", str(cached_base), str(base))
    write_files(base, {"/etc/ssh/sshd_config.d/60-port.conf": "Port 2222\n"})
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
