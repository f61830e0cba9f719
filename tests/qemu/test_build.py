"""From a recipe to a proven image, on a real machine."""

from __future__ import annotations

import hashlib
import json
import subprocess
import xml.etree.ElementTree as ET
from importlib import resources
from typing import TYPE_CHECKING

import jsonschema
import pytest

from harness.sources.qemu import recipe_bases, recipes
from tests import parity
from tests.qemu import disk_files
from tests.qemu.stock import StockMachine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# What building may leave beside what its author wants, as far as this boot does not leave it.
DIRT = """
mount -o remount,nodiscard /
head -c 64M /dev/urandom >/root/deleted && sync && rm /root/deleted
for file in /etc/ssh/ssh_host_rsa_key /root/.bash_history /tmp/harness-0123456789abcdef \\
  /var/lib/apt/lists/host_dists_InRelease /var/cache/apt/archives/some.deb /var/cache/dnf/some \\
  /var/lib/cloud/seed/nocloud/user-data /var/lib/cloud/instances/i-1/user-data.txt \\
  /etc/systemd/network/10-cloud-init-eth0.network /var/lib/dhcp/dhclient.leases \\
  /var/log/agent.log; do
  mkdir -p "${file%/*}" && echo dirt >"$file"
done
"""

BUILD = """
import subprocess

@harness.build(harness.Qemu(image_name="proof-{timestamp}", disk_size="3G"))
def proof(machine):
    machine.shell("echo built >/etc/proof", "echo $GREETING", env={"GREETING": "hello guest"})
    machine.put("site", "/srv")
    machine.shell(script="setup.sh", cwd="/srv", env={"NAME": "it's me"})
    assert machine.run("cat %s", "/srv/name with space").stdout == "it's me"
    machine.get("/srv/site/", "fetched")
    by_ssh = ["ssh", "-F", machine.ssh_config, "default", "cat /etc/proof"]
    assert subprocess.run(by_ssh, capture_output=True, check=True).stdout == b"built\\n"
    machine.shell(script="dirt.sh")

@pytest.fixture(scope="module")
def scratch(proof):
    proof.check_output("touch /srv/scratch")
    yield "/srv/scratch"
    proof.check_output("rm /srv/scratch")

def test_change(proof, scratch):
    assert proof.file("/etc/proof").content_string == "built\\n"
    assert proof.file(scratch).exists

def test_tree(proof):
    assert proof.file("/srv/site/run").mode == 0o755
    assert proof.file("/srv/site/link").linked_to == "/srv/site/binary"
    assert proof.file("/srv/site/binary").content == bytes(range(256))

def test_system(proof):
    assert proof.system_info.codename == "bookworm"
    assert proof.service("ssh").is_running
    assert proof.package("openssh-server").is_installed
    assert proof.check_output("systemctl is-system-running --wait || true") == "running"

def test_the_disk_has_grown(proof):
    assert int(proof.check_output("df --output=size -BM / | tail -n 1").strip("M ")) > 2500

@harness.sealed
def test_the_sealed_machine(proof):
    assert proof.file("/etc/machine-id").size == 0
    assert proof.run("ls /etc/ssh/ssh_host_* /root/.ssh/authorized_keys").stdout == ""
    assert proof.file("/var/log/agent.log").size == 0
    assert proof.service("ssh").is_running
    assert proof.check_output("systemctl is-system-running") == "running"
    assert proof.check_output("journalctl --no-pager --lines 1")
"""

PROVISIONED = {
    "/etc/proof": "added",
    "/srv/name with space": "added",
    "/srv/site": "added",
    "/srv/site/binary": "added",
    "/srv/site/link": "added",
    "/srv/site/run": "added",
    # The folders of the dirt.
    "/var/cache/dnf": "added",
    "/var/lib/cloud": "added",
    "/var/lib/cloud/seed": "added",
    "/var/log/agent.log": "added empty",
}

IDENTITY = """
cat /etc/machine-id
cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub
sha256sum </var/lib/systemd/random-seed
"""


@pytest.fixture
def built(vm_project: VmProject) -> VmProject:
    """A project after its one green run."""
    site = vm_project.path / "site"
    site.mkdir()
    (site / "binary").write_bytes(bytes(range(256)))
    (site / "run").write_text("#!/bin/sh\n")
    (site / "run").chmod(0o755)
    (site / "link").symlink_to("binary")
    script = '#!/bin/bash\nset -u\nprintf %s "$NAME" >"name with space"\n[[ $PWD == /srv ]]\n'
    (vm_project.path / "setup.sh").write_text(script)
    (vm_project.path / "dirt.sh").write_text(DIRT)
    vm_project.write(BUILD)
    result = vm_project.run("-s")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["proof.qemu | hello guest"])
    return vm_project


def test_a_build_from_end_to_end(built: VmProject) -> None:
    assert built.leftovers() == []
    image, stable = built.images()
    assert stable.name == "proof.qemu.qcow2"
    assert stable.resolve() == image
    entry = built.manifest()["proof.qemu"]
    _the_manifest_is_true(built, entry, image)
    _junit_names_the_image(built, entry)
    assert "hello guest\n" in (built.path / "reports/proof.qemu/build.log").read_text()
    assert "Linux version" in (built.path / "reports/proof.qemu/console.log").read_text()
    assert (built.path / "fetched/binary").read_bytes() == bytes(range(256))
    _the_image_is_the_base_and_what_provisioning_did(image)
    again = built.run()
    assert again.ret == 0
    assert len(built.images()) == 3, "the first image is still there"
    second = stable.resolve()
    assert second != image
    with StockMachine(image) as machine, StockMachine(second, seed=False) as other:
        _the_image_boots_and_holds_the_change(image, machine)
        identities = [m.ssh(IDENTITY).split("\n") for m in (machine, other)]
        assert [len(line) > 30 for line in identities[0]] == [True, True, True, False]
        assert not set(identities[0][:3]) & set(identities[1])
        _testinfra_answers_as_over_its_own_backend(other, built.path)


def _the_manifest_is_true(project: VmProject, entry: dict[str, object], image: Path) -> None:
    schema = json.loads((resources.files("harness.reports") / "manifest.schema.json").read_text())
    jsonschema.validate(
        json.loads((project.path / "reports/manifest.json").read_text()),
        schema,
        format_checker=jsonschema.FormatChecker(),
    )
    taken = entry["image"]
    assert isinstance(taken, dict)
    assert taken["checksum"] == f"sha256:{hashlib.sha256(image.read_bytes()).hexdigest()}"
    assert taken["size"] == image.stat().st_size
    assert taken["id"] == f"images/{image.name}"


def _junit_names_the_image(project: VmProject, entry: dict[str, object]) -> None:
    report = ET.parse(project.path / "reports/junit.xml")
    (case,) = [c for c in report.iter("testcase") if c.get("name") == "image[qemu]"]
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    taken = entry["image"]
    assert isinstance(taken, dict)
    assert properties["image_id"] == taken["id"]
    assert properties["image_checksum"] == taken["checksum"]
    assert properties["base"] == "debian-12"
    assert properties["source_type"] == "qemu"
    assert float(properties["seconds_boot"] or 0) > 0


def _the_image_is_the_base_and_what_provisioning_did(image: Path) -> None:
    base = recipe_bases.directory(recipes.RECIPES["debian-12"]) / "disk.qcow2"
    assert disk_files.changes(base, image) == {**PROVISIONED, **disk_files.LEFT_BY_BOOTING}
    assert image.stat().st_size < base.stat().st_size + 32 * 1024**2, "free blocks were discarded"


def _testinfra_answers_as_over_its_own_backend(machine: StockMachine, work: Path) -> None:
    endpoint = machine.endpoint
    with parity.ours(endpoint) as ours, parity.stock(endpoint, work) as stock:
        asked = [parity.system_answers(host) for host in (ours, stock)]
    assert asked[0] == asked[1]
    assert asked[0]["service ['ssh'] is_running"] is True


def _the_image_boots_and_holds_the_change(image: Path, machine: StockMachine) -> None:
    check = subprocess.run(
        ["qemu-img", "check", str(image)], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout
    info = json.loads(
        subprocess.check_output(["qemu-img", "info", "--output=json", str(image)], text=True)
    )
    assert "backing-filename" not in info
    assert machine.ssh("cat /etc/proof") == "built\n"
    assert machine.ssh("ls /srv") == "name with space\nsite\n"
    # Nothing of the build's access is left.
    assert machine.ssh("wc -l </root/.ssh/authorized_keys") == "1\n"


@pytest.mark.parametrize("size", ["1G"])
def test_a_disk_does_not_shrink(vm_project: VmProject, size: str) -> None:
    vm_project.write(
        f"@harness.build(harness.Qemu(disk_size={size!r}))\ndef web(machine): pass\n"
        "def test_x(web): pass"
    )
    result = vm_project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*disk_size='1G' is less than the 2048M of debian-12*"])
    assert vm_project.leftovers() == []
