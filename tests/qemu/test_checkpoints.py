"""Real machines that are saved while they are provisioned, and resumed in a later run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import pins
from harness.sources.qemu import checkpoints
from tests.qemu import disk_files
from tests.qemu.conftest import CACHE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# A shape that nothing else here uses: what is saved of it is this test's.
BUILD = """
import harness.checkpoints
harness.checkpoints.LONG = 1.0

@harness.build(harness.Qemu(memory=544, accelerator="tcg"))
def web(machine):
    machine.shell("nohup sleep 9999 >/dev/null 2>&1 & sleep 1.5; date +%s%N >/etc/first")
    machine.get("/etc/first", "first")
    machine.put("page", "/srv/page")
    machine.shell("cat /srv/page /etc/first >/etc/second")
    machine.reboot()
    machine.shell("{last} >/etc/last")

def test_calls(web):
    assert web.file("/etc/second").content_string == "page\\n" + open("first").read()
    assert web.file("/etc/last").content_string == "{last}\\n".replace("echo ", "")

def test_it_is_a_machine_of_its_own(web):
    assert abs(int(web.check_output("date +%s")) - time.time()) < 60
    # Only our session goes on. Others that end just now are given the time for it.
    sessions = "ps -o stat= --ppid $(cat /run/sshd.pid) | grep -vc Z"
    web.run_expect([0], f"timeout 30 sh -c 'until [ $({{sessions}}) = 1 ]; do sleep 0.2; done'")
    assert web.check_output("systemctl is-active fstrim.timer") == "active"
    note({{
        "host key": web.check_output("cat /etc/ssh/ssh_host_*_key.pub"),
        "key": web.check_output("cat /root/.ssh/authorized_keys"),
        "random": web.check_output("od -An -N16 -tx1 /dev/urandom"),
        "boot": web.check_output("cat /proc/sys/kernel/random/boot_id"),
    }})

def note(facts):
    import json
    with open("notes", "a") as file:
        file.write(json.dumps(facts) + "\\n")
"""


@pytest.fixture
def saved() -> Iterator[set[Path]]:
    """What was saved before; what is new goes afterwards."""
    before = set(folders())
    yield before
    while any(pins.discard(path) for path in set(folders()) - before):
        pass  # each that goes may be the last that needed another
    assert set(folders()) == before


def folders() -> list[Path]:
    kinds = (checkpoints.directory(), CACHE / "states")
    return [path for kind in kinds for path in kind.glob("*") if path.is_dir()]


def test_a_machine_goes_on_where_one_was_saved(vm_project: VmProject, saved: set[Path]) -> None:
    project = vm_project
    (project.path / "page").write_text("page\n")

    def run(last: str, *options: str) -> list[bool]:
        """Which calls were replayed."""
        project.write(BUILD.format(last=last))
        result = project.run("--no-fresh", *options)
        assert result.ret == 0
        assert project.leftovers() == []
        return ["replayed" in call for call in project.manifest()["web.qemu"]["calls"]]

    assert not any(run("echo one"))
    first = (project.path / "first").read_text()
    made = [path for path in set(folders()) - saved if path.parent.name == "checkpoints"]
    assert made
    for path in made:
        assert path.stat().st_mode & 0o77 == 0, "it holds a machine's secrets"
    # The machine goes on from the last call, which came after a reboot.
    (project.path / "first").unlink()
    assert all(run("echo one"))
    assert project.manifest()["web.qemu"]["inputs"]["boot"] == "checkpoint"
    assert (project.path / "first").read_text() == first
    _share_nothing(project)
    # From before it, and on through a change.
    assert run("echo two") == [True] * 5 + [False]
    (project.path / "page").write_text("page\n")
    (project.path / "page").chmod(0o600)
    replayed = run("echo two")
    assert replayed[0]
    assert not any(replayed[2:]), "a mode counts too"
    # What does not resume is thrown away.
    for path in folders():
        if path not in saved and path.parent.name == "checkpoints":
            (path / "devices").write_bytes(b"not what QEMU wrote")
    result = project.run("--no-fresh", "-k", "test_calls")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["web.qemu: once more, without a checkpoint: the saved machine did not resume: *"]
    )
    assert project.manifest()["web.qemu"]["inputs"]["boot"] == "warm"
    assert not any(run("echo two", "--fresh"))
    assert project.leftovers() == []


def _share_nothing(project: VmProject) -> None:
    """Neither the machines nor the images of two runs, one of which the other was saved in."""
    one, two = (json.loads(line) for line in (project.path / "notes").read_text().splitlines())
    for what in ("host key", "key", "random"):
        assert one[what] != two[what]
    assert one["boot"] == two["boot"]
    older, newer = sorted(project.path.glob("images/web-*.qcow2"), key=lambda p: p.stat().st_mtime)
    changed = disk_files.changes(older, newer)
    assert [p for p in changed if not p.startswith(("/var/log/", "/var/lib/systemd/"))] == []
    files = disk_files.files(newer)
    for name in ("/etc/machine-id", "/var/lib/systemd/random-seed", "/root/.ssh/authorized_keys"):
        assert name not in files or files[name].content == disk_files.EMPTY
    assert not [name for name in files if name.startswith(("/etc/ssh/ssh_host_", "/var/lib/dhcp/"))]


def test_the_clock_is_right_after_saving(vm_project: VmProject, saved: set[Path]) -> None:
    """The guest's own stands still while it is saved."""
    assert saved is not None
    vm_project.write(
        """
import harness.checkpoints
harness.checkpoints.LONG = 0.0

@harness.build(harness.Qemu(memory=544, accelerator="tcg"))
def web(machine):
    for number in range(5):
        machine.run(f"echo {number}")

def test_clock(web):
    assert abs(float(web.check_output("date +%s.%N")) - time.time()) < 3
"""
    )
    assert vm_project.run("--no-fresh", "-k", "test_clock").ret == 0
