"""Images of other formats boot, elsewhere too; and the longest way to a machine that there is."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import sshd
from tests.fileserver import FileServer
from tests.qemu.conftest import CACHE
from tests.qemu.stock import StockMachine
from tests.ssh.watching import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.qemu.conftest import VmProject
    from tests.sshd import Sshd

pytestmark = pytest.mark.vm

FIRST = """
@harness.build(harness.Qemu(
    format={format!r}, image_name="first", output_directory={folder!r},
    ssh_clear_authorized_keys={clear},
))
def first(machine):
    machine.shell("echo first >/etc/first", "cat /root/.ssh/authorized_keys >/etc/temporary-key")

def test_first(first): pass
"""


@pytest.fixture
def folder(vm_project: VmProject) -> Iterator[Path]:
    """For images, outside the project; gone afterwards, since they are large."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def build_first(project: VmProject, folder: Path, disk_format: str, *, clear: bool = True) -> Path:
    """The image of a build on a recipe."""
    project.write(FIRST.format(format=disk_format, folder=str(folder), clear=clear), "test_first")
    assert project.run("test_first.py").ret == 0
    image = folder / f"first.{disk_format}"
    assert project.manifest()["first.qemu"]["image"]["id"] == str(image)
    assert {path.name for path in folder.iterdir()} == {image.name, f"first.qemu.{disk_format}"}
    assert not (project.path / "images").exists()
    return image


@pytest.mark.parametrize("disk_format", ["vdi", "vhdx"])
def test_an_image_boots_in_a_stock_qemu(
    vm_project: VmProject, folder: Path, disk_format: str
) -> None:
    image = build_first(vm_project, folder, disk_format)
    with StockMachine(image, seed=False) as machine:
        assert machine.ssh("cat /etc/first") == "first\n"
        key = machine.ssh("cat /etc/temporary-key")
        assert key.strip() not in machine.ssh("cat /root/.ssh/authorized_keys")
    assert vm_project.leftovers() == []


# The third format is the base of a build that has most of what a route can have: a password, a
# terminal that sudo insists on, a proxy, a bastion, a port of the user's own.
SECOND = """
import subprocess

@harness.build(harness.Qemu(
    base=[{gone!r}, {url!r}], base_checksum={checksums!r},
    machine_type="pc", disk_discard="ignore", user_data_file="user-data", cd_files=["site/"],
    image_name="second", output_directory={folder!r},
    ssh_username="builder", ssh_password={password!r}, ssh_pty=True, ssh_timeout=900,
    ssh_host="127.0.0.1", ssh_port={port},
    ssh_bastion_host="127.0.0.1", ssh_bastion_port={bastion}, ssh_bastion_agent_auth=True,
    ssh_proxy_host="127.0.0.1", ssh_proxy_port={proxy},
    qemuargs=[["-netdev", "user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:22"]],
))
def second(machine):
    machine.write("by hand", "/tmp/written")
    machine.shell(
        "terminal=$(readlink /proc/$$/fd/1); echo $terminal >/etc/terminal",
        "mount -o ro /dev/disk/by-label/packer /mnt && cp -r /mnt /srv/cd && umount /mnt",
        "cat /root/.ssh/authorized_keys >/etc/keys-of-root",
        "mount -o remount,nodiscard /",
        "yes '{mark}' | head -c 8M >/srv/deleted; sync; rm /srv/deleted",
        sudo=True,
    )
    by_ssh = ["ssh", "-F", machine.ssh_config, "bastion", "echo there"]
    assert subprocess.check_output(by_ssh) == b"there\\n"

def test_the_login(second):
    assert second.user().name == "builder"
    assert second.file("/home/builder/.ssh/authorized_keys").size == 0, "no temporary key"
    assert second.run("sudo -n true").succeeded, "sudo wants a terminal"

def test_the_terminal(second):
    assert second.file("/etc/terminal").content_string.startswith("/dev/pts/")
    assert second.file("/tmp/written").content_string == "by hand"

def test_the_machine_type(second):
    assert "i440FX" in second.check_output("cat /sys/class/dmi/id/product_name")

def test_the_cd(second):
    assert second.file("/srv/cd/page").content_string == "page"

def test_what_the_first_build_left(second):
    assert second.file("/etc/first").content_string == "first\\n"
    key = second.file("/etc/temporary-key").content_string.strip()
    assert key in second.file("/etc/keys-of-root").content_string
"""
USER_DATA = f"""#cloud-config
ssh_pwauth: true
users:
- name: builder
  plain_text_passwd: {sshd.PASSWORD}
write_files:
- path: /etc/sudoers.d/99-terminal
  permissions: "0440"
  content: "Defaults:builder requiretty\\n"
"""
MARK = b"deleted, and still on the disk"


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where they are kept, fetched without a proxy; new ones go afterwards."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    where = CACHE / "downloads"
    before = set(where.glob("*"))
    yield where
    for path in set(where.glob("*")) - before:
        path.unlink()


@pytest.fixture
def bastion(tmp_path: Path, vm_project: VmProject) -> Iterator[Sshd]:
    """A server whose key this user has accepted."""
    directory = tmp_path / "bastion"
    directory.mkdir()
    with sshd.running(directory) as server:
        known = Path("~/.ssh/known_hosts").expanduser()
        known.parent.mkdir(exist_ok=True)
        known.write_text(f"[127.0.0.1]:{server.port} {server.endpoint.host_key}")
        yield server


@pytest.fixture
def agent(tmp_path: Path, bastion: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent with the bastion's key."""
    where = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", where], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(where))
    assert eventually(where.exists)
    key = bastion.endpoint.private_key.encode()
    subprocess.run(["ssh-add", "-q", "-"], input=key, capture_output=True, check=True)
    yield
    process.kill()
    process.wait()


@pytest.fixture
def proxy() -> Iterator[int]:
    """The port of a SOCKS5 server."""
    port = sshd.free_port()
    command = ["microsocks", "-i", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    yield port
    process.kill()
    process.wait()


@pytest.mark.usefixtures("agent")
def test_a_base_from_a_mirror_and_the_long_way_to_its_machine(
    vm_project: VmProject, folder: Path, downloads: Path, bastion: Sshd, proxy: int
) -> None:
    image = build_first(vm_project, folder, "vmdk", clear=False)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  {image.name}\n")
    (vm_project.path / "user-data").write_text(USER_DATA)
    (vm_project.path / "site").mkdir()
    (vm_project.path / "site" / "page").write_text("page")
    with FileServer(folder) as server:
        gone = server.url(f"gone/{image.name}")
        text = SECOND.format(
            gone=gone,
            url=server.url(image.name),
            checksums=f"file:{server.url('SHA256SUMS')}",
            folder=str(folder),
            mark=MARK.decode(),
            password=sshd.PASSWORD,
            port=sshd.free_port(),
            bastion=bastion.port,
            proxy=proxy,
        )
        vm_project.write(text, "test_second")
        result = vm_project.run("test_second.py")
        asked = server.requests
    assert result.ret == 0
    assert asked[-2:] == [f"/gone/{image.name}", f"/{image.name}"]
    assert (downloads / f"sha256-{digest}").exists()
    base = {"name": gone, "checksum": f"sha256:{digest}"}
    assert vm_project.manifest()["second.qemu"]["inputs"]["base"] == base
    assert "Accepted publickey" in (bastion.directory / "log").read_text()
    reports = [path for path in (vm_project.path / "reports").rglob("*") if path.is_file()]
    assert [p for p in reports if sshd.PASSWORD in p.read_text(errors="replace")] == []
    assert MARK in (folder / "second.qcow2").read_bytes(), "it was discarded"
    assert vm_project.leftovers() == []
