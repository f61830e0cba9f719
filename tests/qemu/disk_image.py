"""The root file system of a disk image that nobody has booted."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from harness.sources.qemu.child_process import search_path

LINUX_ROOT = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"


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
        run("debugfs", "-w", "-f", script, root_device(image))


def root_device(raw: Path) -> str:
    """What debugfs calls the root file system inside a raw image."""
    table = json.loads(run("sfdisk", "--json", raw))["partitiontable"]
    (root,) = [p for p in table["partitions"] if p["type"] == LINUX_ROOT]
    return f"{raw}?offset={root['start'] * table['sectorsize']}"


def run(*command: str | Path) -> str:
    words = [str(word) for word in command]
    return subprocess.run(
        words, capture_output=True, text=True, check=True, env={"PATH": search_path()}
    ).stdout
