"""From nothing to an image: the same disk and the same three shell steps, with Packer and with us.

Packer 1.6.6 is Debian's package. Both start from the base that the recipe ``debian-12`` makes:
Packer with a copy of it, since its overlays name no backing format, which QEMU has refused since
6.1. Both machines have the same shape and emulation. Ours also runs tests.
They run in turn, so that a busy machine slows all of them: Packer, ours as it comes (the machine
resumes a saved one) and ours with ``--cold`` (it boots, as Packer's does).

    python benchmarks/boot_to_image.py [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import keys
from harness.sources.qemu import access, recipe_bases, recipes

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


def main() -> None:
    """Time both in turn and print both medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each, after one that warms up")
    runs = parser.parse_args().runs
    if shutil.which("packer") is None:
        sys.exit("packer is not installed: apt-get install packer")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "test_bench.py").write_text(BUILD)
        base = recipe_bases.directory(recipes.RECIPES["debian-12"]) / "disk.qcow2"
        ours(work)  # makes the base and the saved machine, if need be
        packer(work, base)
        rounds = []
        for number in range(1, runs + 1):
            rounds.append((packer(work, base), ours(work), ours(work, "--cold")))
            theirs, warm, cold = rounds[-1]
            print(f"run {number}: packer {theirs:.1f} s, warm {warm:.1f} s, cold {cold:.1f} s")
    theirs, warm, cold = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\nmedian of {runs}: packer {theirs:.1f} s, pytest with 5 tests {warm:.1f} s,")
    print(f"pytest --cold with 5 tests {cold:.1f} s")
    for name, column, limit in (("warm", 1, 0.35), ("cold", 2, 0.9)):
        ratio = statistics.median(times[column] / times[0] for times in rounds)
        print(f"ratio {name}/packer, median of the rounds: {ratio:.2f} (to beat: {limit})")


def ours(work: Path, *options: str) -> float:
    """Seconds of a whole `pytest` command."""
    shutil.rmtree(work / "images", ignore_errors=True)
    return timed([sys.executable, "-m", "pytest", "-q", *options, "test_bench.py"], work)


def packer(work: Path, base: Path) -> float:
    """Seconds of a whole `packer build` command."""
    shutil.rmtree(work / "output", ignore_errors=True)
    (work / "packer.json").write_text(json.dumps(template(work, base)))
    return timed(["packer", "build", "packer.json"], work)


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


def timed(command: list[str], work: Path) -> float:
    """Run it, or stop everything with what it printed."""
    # Packer's own look for newer versions is no part of its work.
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "PACKER_CACHE_DIR": str(work / "cache")}
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
