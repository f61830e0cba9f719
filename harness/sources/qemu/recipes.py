"""Base disks made from nothing but apt: no root, no loop device, no KVM.

mmdebstrap makes a root file system as a tar, mke2fs puts it into a partition of a plain file, and
GRUB's images are written where BIOS and EFI firmware look for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.errors import SourceError
from harness.sources.qemu import apt_sources, gpt_disk, recipe_stages
from harness.sources.qemu.child_process import ChildRunner, require_tools
from harness.sources.qemu.distributions import DEBIAN, UBUNTU, Distribution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from harness.sources.qemu.child_process import Runner

# Raised when the same recipe and files make another disk than before.
FORMAT = 3

ROOM = "3 GiB"
"""What making a disk takes at its height."""
_FULL = re.compile("No space left on device|enough free space|Disk quota exceeded")

# Program: its Debian package.
SYSTEM_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        "mmdebstrap": "mmdebstrap",
        "fakeroot": "fakeroot",
        "tar": "tar",
        "mke2fs": "e2fsprogs",
        "debugfs": "e2fsprogs",
        "mformat": "mtools",
        "sfdisk": "fdisk",
        "qemu-img": "qemu-utils",
    }
)

_PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "dbus",
    "e2fsprogs",
    "grub-efi-amd64-bin",
    "grub-pc-bin",
    "grub2-common",
    "iproute2",
    "libnss-myhostname",
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
    distribution: Distribution
    suite: str
    packages: tuple[str, ...]
    """What this distribution has beside what all have: its kernel, to begin with."""
    disk_size: int = 2048 * gpt_disk.MIB  # the guest grows into a larger disk by itself


_KNOWN = (
    Recipe("debian-12", DEBIAN, "bookworm", ("linux-image-cloud-amd64",)),
    Recipe("debian-13", DEBIAN, "trixie", ("linux-image-cloud-amd64", "systemd-repart")),
    Recipe("ubuntu-24.04", UBUNTU, "noble", ("initramfs-tools", "linux-image-virtual")),
)
RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in _KNOWN})


def tools(recipe: Recipe) -> Mapping[str, str]:
    """What making it takes, programs and files, and the Debian package of each."""
    distribution = recipe.distribution
    needs_package = bool(distribution.keyring_package)
    keyring = {str(distribution.keyring): distribution.keyring_package} if needs_package else {}
    return {**SYSTEM_TOOLS, **keyring}


def digest(recipe: Recipe) -> str:
    """A hash of everything that determines the disk, but for the state of the archive."""
    return _digest(recipe, apt_sources.sources_for(recipe.distribution, recipe.suite))


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
    require_tools(tools(recipe), f"The recipe {recipe.name}")
    recipe.distribution.require(recipe.suite)
    sources = apt_sources.sources_for(recipe.distribution, recipe.suite)
    ids = gpt_disk.Identifiers.derived_from(_digest(recipe, sources))
    runner = run or ChildRunner(log, cancelled)
    stages = recipe_stages.Stages(work, ids, recipe.disk_size, runner)

    with _room(recipe, work):
        log(f"{recipe.name}: installing {recipe.suite} with mmdebstrap")
        _install(recipe, sources, stages)
        log(f"{recipe.name}: making the disk")
        stages.partition()
        stages.fill_root()
        stages.set_capabilities()
        stages.install_grub()
        stages.install_efi_loader()
        stages.keep_kernel(disk.parent)
        log(f"{recipe.name}: writing {disk}")
        stages.convert(disk)


def _install(recipe: Recipe, sources: tuple[str, ...], stages: recipe_stages.Stages) -> None:
    packages = (*_PACKAGES, *recipe.packages)
    try:
        stages.install_packages(recipe.suite, packages, sources, recipe.distribution)
    except SourceError as error:
        named = re.findall(r"https?://\S+", " ".join(sources))
        archive = " and ".join(dict.fromkeys(named)) or f"{recipe.distribution.origin}'s archive"
        raise SourceError(
            f"the base {recipe.name} could not be installed from {archive}. If that cannot be "
            "reached from here, apt's proxy settings are used for it (Acquire::http::Proxy), and "
            f"base= may be a cloud image instead.\n{error}"
        ) from error


@contextlib.contextmanager
def _room(recipe: Recipe, work: Path) -> Iterator[None]:
    """Tell a full disk as what it is, whichever program met it."""
    try:
        yield
    except (SourceError, OSError) as error:
        if not _FULL.search(str(error)):
            raise
        said = error.__cause__ or error  # the archive is not to blame
        raise SourceError(
            f"the base {recipe.name} could not be made: the disk is too small. {ROOM} are needed "
            f"in {work.parent} while it is made; free some, or put the cache elsewhere with the "
            f"environment variable XDG_CACHE_HOME\n{said}"
        ) from error


def _digest(recipe: Recipe, sources: tuple[str, ...]) -> str:
    named = [recipe.name, recipe.suite, _PACKAGES, recipe.packages, recipe.disk_size]
    parts = [FORMAT, named, sources, recipe_stages.EXT4_FEATURES]
    parts += [(name, path.read_text("utf-8")) for name, path in recipe_stages.recipe_files()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
