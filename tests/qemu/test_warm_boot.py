"""Machines that resume one that was saved: they share nothing that must be their own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from harness import pins
from tests.qemu.conftest import CACHE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# A shape that nothing else here uses, so that its state is made by this test. Both machines of a
# run want it at once, each in a process of its own.
BUILDS = """
import json, pathlib

def note(machine):
    commands = {
        "clock": "date +%s",
        "random": "od -An -N16 -tx1 /dev/urandom",
        "host key": "cat /etc/ssh/ssh_host_*_key.pub",
        "key": "cat /root/.ssh/authorized_keys",
        "timers": "systemctl is-active fstrim.timer; ls /run | grep harness || true",
        "boot": "cat /proc/sys/kernel/random/boot_id",
    }
    values = {name: machine.run(command).stdout for name, command in commands.items()}
    pathlib.Path(f"{machine.id}.json").write_text(json.dumps(values))

@harness.build(harness.Qemu(memory=576, accelerator="tcg"))
def one(machine): note(machine)

def test_one(one): assert one.service("ssh").is_running

@harness.build(harness.Qemu(memory=576, accelerator="tcg"))
def two(machine): note(machine)

def test_two(two): assert two.service("ssh").is_running
"""


@pytest.fixture
def states() -> Iterator[set[Path]]:
    """The folders of saved machines that were there before; new ones go afterwards."""
    before = set(folders())
    yield before
    for path in set(folders()) - before:
        pins.discard(path)


def folders() -> list[Path]:
    return [path for path in (CACHE / "states").glob("*") if path.is_dir()]


def test_one_state_many_machines(vm_project: VmProject, states: set[Path]) -> None:
    vm_project.write(BUILDS)
    result = vm_project.run("-n", "2")
    assert result.ret == 0
    saving = [line for line in result.outlines if "booting and saving the machine, once" in line]
    assert len(saving) == 1
    entries = vm_project.manifest()
    assert [e["inputs"]["boot"] for e in entries.values()] == ["warm", "warm"]
    (state,) = set(folders()) - states
    assert state.stat().st_mode & 0o77 == 0, "it holds a machine's secrets"
    assert (state / "memory").stat().st_blocks * 512 < 400 << 20, "it is sparse"
    assert not pins.in_use(state)
    (base,) = pins.about(state).needs
    assert not pins.discard(CACHE / base), "the state needs it"
    notes = [json.loads(path.read_text()) for path in vm_project.path.glob("*.json")]
    assert len(notes) == 2
    now = time.time()
    for note in notes:
        assert abs(int(note["clock"]) - now) < 300
        assert note["timers"] == "active\n"
        assert len(note["key"].splitlines()) == 1
    assert notes[0]["boot"] == notes[1]["boot"], "they were booted once"
    for what in ("random", "host key", "key"):
        assert notes[0][what] != notes[1][what]
    saved = json.loads((state / "facts.json").read_text())
    assert saved["keys"]["public"].strip() not in {note["key"].strip() for note in notes}
    assert vm_project.leftovers() == []
    _a_state_that_does_not_resume_is_thrown_away(vm_project, state)


def _a_state_that_does_not_resume_is_thrown_away(project: VmProject, state: Path) -> None:
    (state / "devices").write_bytes(b"not what QEMU wrote")
    result = project.run("-k", "one")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*one.qemu: booting a new one: the saved machine did not resume: QEMU ended*"]
    )
    assert not state.exists()
    assert project.manifest()["one.qemu"]["inputs"]["boot"] == "cold"
    assert project.leftovers() == []
