"""A secret is nowhere in an image, not even in what its file system has as free."""

from __future__ import annotations

import re
import secrets
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# Each waits until all that is to be on the disk is there.
BUILD = """
from harness.provisioners import Shell

TOKEN = harness.Secret("@secret")
SECRET = {"TOKEN": TOKEN}

@harness.build(harness.Qemu(image_name="proof"))
def proof(machine):
    machine.write("@known", "/etc/known")
    machine.shell("useradd --create-home other")
    for user in (True, "other"):
        machine.shell("sync", env=SECRET, sudo=user)
        machine.shell(": " + "x" * 40_000, "sync", env=SECRET, sudo=user)
    machine.shell("sync", "exit 3", env=SECRET, valid_exit_codes=(3,))
    machine.shell(script="script.sh", env=SECRET)
    machine.run(": " + "x" * 40_000 + "; sync", env=SECRET)
    machine.provision(Shell(
        inline=["sync", f": {TOKEN.reveal()}"], execute_command="{{.Vars}} {{.Path}}",
        environment_vars=SECRET,
    ))

def test_x(proof): pass
"""


def test_no_image_holds_a_secret(vm_project: VmProject, tmp_path: Path) -> None:
    secret, known = secrets.token_hex(16), secrets.token_hex(16)
    vm_project.write(BUILD.replace("@secret", secret).replace("@known", known))
    (vm_project.path / "script.sh").write_text("sync\n")
    assert vm_project.run("--cold").ret == 0
    image = next(each for each in vm_project.images() if each.suffix == ".qcow2")
    raw = tmp_path / "image.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(image), str(raw)], check=True)
    assert _found([secret, known], raw) == {known}


def _found(texts: list[str], file: Path) -> set[str]:
    pattern = re.compile("|".join(texts).encode())
    found: set[str] = set()
    tail = b""
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 24):
            found |= {match.decode() for match in pattern.findall(tail + chunk)}
            tail = chunk[-64:]
    return found
