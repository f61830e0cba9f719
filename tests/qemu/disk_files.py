"""What is on a disk image, read from the disk itself: no machine's word, no mount, no root."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.qemu.disk_image import root_device, run

LEFT_BY_BOOTING = {
    # systemd makes these anew at each boot.
    "/tmp/.ICE-unix": "added",
    "/tmp/.X11-unix": "added",
    "/tmp/.XIM-unix": "added",
    "/tmp/.font-unix": "added",
    # A link to /etc/machine-id.
    "/var/lib/dbus/machine-id": "added",
    # Empty folders.
    "/var/lib/systemd/linger": "added",
    "/var/lib/systemd/timers": "added",
    # Who logged in; nobody, but for the record of its last shutdown in wtmp.
    "/var/log/btmp": "added empty",
    "/var/log/lastlog": "added empty",
    "/var/log/wtmp": "added",
}
"""What the sealed image of a recipe's machine has that its base has not, and why it may."""
EMPTY = hashlib.sha256(b"").hexdigest()


class File(NamedTuple):
    """What is compared of a file; ``content`` is a digest, or where a symbolic link leads."""

    mode: str
    owner: str
    content: str


def changes(base: Path, image: Path) -> dict[str, str]:
    """The paths at which an image differs from the base that it began as, and how."""
    before, after = files(base), files(image)
    new = after.keys() - before.keys()
    found = {p: "added empty" if after[p].content == EMPTY else "added" for p in new}
    found |= dict.fromkeys(before.keys() - after.keys(), "removed")
    for path in before.keys() & after.keys():
        then, now = before[path], after[path]
        differ = [n for n in File._fields if getattr(then, n) != getattr(now, n)]
        if differ:
            found[path] = f"other {', '.join(differ)}"
    return dict(sorted(found.items()))


def files(image: Path) -> dict[str, File]:
    """Every file of an image's root file system (ext4), by its path."""
    with tempfile.TemporaryDirectory() as name:
        raw, tree = Path(name) / "raw", Path(name) / "tree"
        run("qemu-img", "convert", "-O", "raw", image, raw)
        disk = root_device(raw)
        tree.mkdir()
        run("debugfs", "-R", f"rdump / {tree}", disk)
        directories = [os.path.relpath(at, tree) for at, _, _ in os.walk(tree)]
        return _listed(disk, directories, tree)


def _listed(disk: str, directories: list[str], tree: Path) -> dict[str, File]:
    # A plain user's copy of the tree lacks owners and special files; the listing has them.
    commands = tree.with_name("commands")
    commands.write_text("".join(f'ls -l -p "/{path}/"\n' for path in directories))
    found, directory = {}, ""
    for line in run("debugfs", "-f", commands, disk).splitlines():
        if line.startswith("debugfs: "):
            directory = line.partition('"/')[2].rstrip('"')
        elif line:
            _, inode, mode, uid, gid, name, _, _ = line.split("/")
            if inode != "0" and name not in (".", ".."):
                copy = tree / directory / name
                content = _content(copy, int(mode, 8))
                found[f"/{directory}{name}"] = File(mode, f"{uid}:{gid}", content)
    return found


def _content(copy: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return str(copy.readlink())
    return hashlib.sha256(copy.read_bytes()).hexdigest() if stat.S_ISREG(mode) else ""
