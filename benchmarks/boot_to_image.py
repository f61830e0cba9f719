"""From nothing to an image: the same disk and the same three shell steps, with Packer and with us.

Packer 1.6.6 is Debian's package. Both start from the base that the recipe ``debian-12`` makes:
Packer with a copy of it, since its overlays name no backing format, which QEMU has refused since
6.1. Both machines have the same shape and emulation. Ours also runs tests.
They run in turn, so that a busy machine slows all of them: Packer, ours as it comes (the machine
resumes a saved one) and ours with ``--cold`` (it boots, as Packer's does).

    python -m benchmarks.boot_to_image [--rounds 5]
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import commands, table
from harness import keys
from harness.sources.qemu import access, recipe_bases, recipes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.table import Row

STEPS = ["echo one >/etc/step-1", "mkdir -p /srv/app && date >/srv/app/made", "sync"]

BUILD = f"""
import harness

@harness.build(harness.Qemu(base="debian-12", accelerator="tcg"))
def web(machine):
    for step in {STEPS!r}:
        machine.shell(step)

def test_step_1(web): assert web.file("/etc/step-1").content_string == "one\\n"
def test_app(web): assert web.file("/srv/app").is_directory
def test_made(web): assert web.file("/srv/app/made").size > 0
def test_ssh(web): assert web.service("ssh").is_running
def test_packages(web): assert web.package("openssh-server").is_installed
"""


def rows(rounds: int) -> Iterator[Row]:
    table.say("from boot to image")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        base = recipe_bases.directory(recipes.RECIPES["debian-12"]) / "disk.qcow2"
        ours(work)  # makes the base and the saved machine, if need be
        packer(work, base)
        times = []
        for number in range(1, rounds + 1):
            times.append((packer(work, base), ours(work), ours(work, "--cold")))
            theirs, warm, cold = times[-1]
            table.say(f"  round {number}: {theirs:.1f} s, warm {warm:.1f} s, cold {cold:.1f} s")
    yield table.compared("boot to image, warm", [(t, warm) for t, warm, _ in times], 0.35)
    yield table.compared("boot to image, cold", [(t, cold) for t, _, cold in times], 0.9)


def ours(work: Path, *options: str) -> float:
    """Seconds of a whole `pytest` command."""
    shutil.rmtree(work / "images", ignore_errors=True)
    return commands.timed(commands.pytest(work, BUILD, *options), work)


def packer(work: Path, base: Path) -> float:
    """Seconds of a whole `packer build` command."""
    shutil.rmtree(work / "output", ignore_errors=True)
    return commands.timed(commands.packer(work, template(work, base)), work)


def template(work: Path, base: Path) -> dict[str, object]:
    """What Packer needs for the same machine; without `boot_wait`, which it would only sleep."""
    own = access.Keys.generate(keys.generate_key())
    (work / "key").touch(mode=0o600)
    (work / "key").write_text(own.private)
    credentials = access.credentials(own, work)
    builder = {
        "type": "qemu",
        "disk_image": True,
        "iso_url": str(base),
        "iso_checksum": "none",
        "output_directory": str(work / "output"),
        "accelerator": "tcg",
        "machine_type": "q35",
        "headless": True,
        "memory": 1024,
        "cpus": 2,
        "boot_wait": "0s",
        "disk_interface": "virtio",
        "net_device": "virtio-net",
        "ssh_username": "root",
        "ssh_private_key_file": str(work / "key"),
        "shutdown_command": "systemctl poweroff",
        "qemuargs": [
            ["-cpu", "max"],
            *([flag, value] for flag, value in zip(*[iter(credentials)] * 2, strict=True)),
        ],
    }
    return {
        "builders": [builder],
        "provisioners": [{"type": "shell", "inline": [step]} for step in STEPS],
    }


if __name__ == "__main__":
    table.main(rows)
