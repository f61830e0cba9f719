"""Base disks made from nothing but apt: no root, no loop device, no KVM.

mmdebstrap makes a root file system as a tar, mke2fs puts it into a partition of a plain file, and
GRUB's two images are written where the BIOS looks for them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.sources.qemu import apt_sources, gpt_disk, recipe_stages
from harness.sources.qemu.child_process import ChildRunner, require_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.sources.qemu.child_process import Runner

# Raised when the same recipe and files make another disk than before.
FORMAT = 2

# Program: its Debian package.
SYSTEM_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        "mmdebstrap": "mmdebstrap",
        "fakeroot": "fakeroot",
        "tar": "tar",
        "mke2fs": "e2fsprogs",
        "debugfs": "e2fsprogs",
        "sfdisk": "fdisk",
        "qemu-img": "qemu-utils",
    }
)

_PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "dbus",
    "e2fsprogs",
    "grub-pc-bin",
    "grub2-common",
    "iproute2",
    "libnss-myhostname",
    "linux-image-cloud-amd64",
    "lz4",
    "openssh-server",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "udev",
)


@dataclass(frozen=True)
class Recipe:
    """What goes into a base disk."""

    name: str
    suite: str
    packages: tuple[str, ...] = _PACKAGES
    disk_size: int = 2048 * gpt_disk.MIB  # the guest grows into a larger disk by itself


RECIPES: Mapping[str, Recipe] = MappingProxyType({"debian-12": Recipe("debian-12", "bookworm")})


def digest(recipe: Recipe) -> str:
    """A hash of everything that determines the disk, but for the state of the archive."""
    return _digest(recipe, apt_sources.sources_for(recipe.suite))


def make(
    recipe: Recipe,
    disk: Path,
    *,
    work: Path,
    log: Callable[[str], None],
    cancelled: Callable[[], bool],
    run: Runner | None = None,
) -> None:
    """Write the recipe's disk as a qcow2 file to ``disk``; temporaries go to ``work``.

    Beside it: ``vmlinuz``, ``initrd.img`` and ``cmdline``, for a boot without GRUB.
    """
    require_tools(SYSTEM_TOOLS, f"The recipe {recipe.name}")
    sources = apt_sources.sources_for(recipe.suite)
    ids = gpt_disk.Identifiers.derived_from(_digest(recipe, sources))
    runner = run or ChildRunner(log, cancelled)
    stages = recipe_stages.Stages(work, ids, recipe.disk_size, runner)

    log(f"{recipe.name}: installing {recipe.suite} with mmdebstrap")
    stages.install_packages(recipe.suite, recipe.packages, sources)
    log(f"{recipe.name}: making the disk")
    stages.partition()
    stages.fill_root()
    stages.set_capabilities()
    stages.install_grub()
    stages.keep_kernel(disk.parent)
    log(f"{recipe.name}: writing {disk}")
    stages.convert(disk)


def _digest(recipe: Recipe, sources: tuple[str, ...]) -> str:
    parts = [FORMAT, asdict(recipe), sources, recipe_stages.EXT4_FEATURES]
    parts += [(name, path.read_text("utf-8")) for name, path in recipe_stages.recipe_files()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
