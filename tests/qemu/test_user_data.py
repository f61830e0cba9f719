"""The author's own user data beside ours, and a disk that grows, with cloud-init."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

BUILD = '''
USER_DATA = """#cloud-config
users:
- default
- name: builder
  shell: /bin/sh
  ssh_authorized_keys: [ssh-ed25519 AAAAtheirs]
write_files:
- {path: /etc/theirs, content: hello}
"""

@harness.build(harness.Qemu(
    base="base.raw", ssh_username="builder", format="raw", disk_size="3G", user_data=USER_DATA))
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

def test_user_data_of_theirs_and_ours(web):
    assert web.user("builder").shell == "/bin/sh"
    keys = web.file("/home/builder/.ssh/authorized_keys").content_string.splitlines()
    assert len(keys) == 2
    assert "ssh-ed25519 AAAAtheirs" in keys, "cloud-init writes them in any order"
    assert web.user("debian").exists, "the image's default user"
    assert web.file("/etc/theirs").content_string == "hello"

def test_the_disk_has_grown(web):
    assert int(web.check_output("df --output=size -BM / | tail -n 1").strip("M ")) > 2500
'''


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
