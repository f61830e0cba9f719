"""Files written into a disk image that nobody has booted."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from harness.sources.qemu.child_process import search_path

LINUX_ROOT = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
SECTOR = 512


def write_files(image: Path, files: dict[str, str]) -> None:
    """Write executable files into the root file system of a raw image, over what is there."""
    with tempfile.TemporaryDirectory() as folder:
        commands = []
        for number, (path, text) in enumerate(files.items()):
            local = Path(folder, str(number))
            local.write_text(text)
            commands += [f"rm {path}", f"write {local} {path}", f"sif {path} mode 0100755"]
        script = Path(folder, "commands")
        script.write_text("\n".join([*commands, ""]))
        device = f"{image}?offset={_root_offset(image)}"
        _run("debugfs", "-w", "-f", str(script), device)


def _root_offset(image: Path) -> int:
    table = json.loads(_run("sfdisk", "--json", str(image)))["partitiontable"]
    (root,) = [p for p in table["partitions"] if p["type"] == LINUX_ROOT]
    start: int = root["start"]
    return start * SECTOR


def _run(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PATH": search_path()}
    ).stdout
