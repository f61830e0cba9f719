"""Base disks made from nothing but apt: no root, no loop device, no KVM.

mmdebstrap makes a root file system as a tar, mke2fs puts it into a partition of a plain file, and
GRUB's two images are written where the BIOS looks for them. What is in the guest and why can be
read in recipe_files/: ``root/`` is copied into the root file system, ``finish`` runs in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import shutil
import stat
import tarfile
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.errors import ToolMissingError
from harness.sources.qemu import apt_sources, gpt_disk
from harness.sources.qemu.child_process import ChildRunner, require_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.sources.qemu.child_process import Runner

# Raised when this module makes another disk from the same recipe and files.
FORMAT = 1

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

# Every feature by name: what mke2fs.conf of the building machine has is its own affair, and
# GRUB and e2fsck of the recipe's suite must know them.
_EXT4_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,"
    "sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
)


@dataclass(frozen=True)
class Recipe:
    """What goes into a base disk."""

    name: str
    suite: str
    packages: tuple[str, ...]
    disk_size: int = 2048 * gpt_disk.MIB  # grows at boot on a larger disk


_DEBIAN_PACKAGES = (
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

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {"debian-12": Recipe("debian-12", "bookworm", _DEBIAN_PACKAGES)}
)


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
    """Write the recipe's disk as a qcow2 file to ``disk``; temporaries go to ``work``."""
    require_tools(SYSTEM_TOOLS, f"The recipe {recipe.name}")
    sources = apt_sources.sources_for(recipe.suite)
    ids = gpt_disk.Identifiers.derived_from(_digest(recipe, sources))
    workshop = _Workshop(recipe, work, ids, log, run or ChildRunner(log, cancelled))
    workshop.install_packages(sources)
    workshop.partition()
    workshop.fill_root()
    workshop.convert(disk)


def _digest(recipe: Recipe, sources: tuple[str, ...]) -> str:
    parts = [FORMAT, asdict(recipe), sources, _EXT4_FEATURES]
    parts += [(name, path.read_text(encoding="utf-8")) for name, path in _files()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Workshop:
    """The stages of one disk, in order."""

    recipe: Recipe
    work: Path
    ids: gpt_disk.Identifiers
    log: Callable[[str], None]
    run: Runner

    @property
    def raw(self) -> Path:
        return self.work / "disk.raw"

    @property
    def root(self) -> Path:
        return self.work / "root"

    def install_packages(self, sources: tuple[str, ...]) -> None:
        self.log(f"{self.recipe.name}: installing {self.recipe.suite} with mmdebstrap")
        (self.work / "apt.conf").write_text(apt_sources.access_settings(), encoding="utf-8")
        (self.work / "files.tar").write_bytes(_files_tar())
        self.run(
            [
                "mmdebstrap",
                "--variant=apt",
                "--architectures=amd64",
                f"--include={','.join(self.recipe.packages)}",
                *_keyring_options(sources),
                f"--aptopt={self.work / 'apt.conf'}",
                # Before the kernel is installed: its initrd is made with our settings.
                f"--essential-hook=tar-in {_quoted(self.work / 'files.tar')} /",
                f"--customize-hook=upload {_quoted(_directory() / 'finish')} /finish",
                f'--customize-hook=chroot "$1" sh /finish {self.ids.root_filesystem}',
                '--customize-hook=rm "$1/finish"',
                self.recipe.suite,
                str(self.work / "root.tar"),
                *sources,
            ],
            environ=_temporary_directory(self.work),
        )

    def partition(self) -> None:
        self.log(f"{self.recipe.name}: partitioning")
        with self.raw.open("wb") as file:
            file.truncate(self.recipe.disk_size)
        script = self.work / "partitions"
        script.write_text(gpt_disk.sfdisk_script(self.recipe.disk_size, self.ids))
        # sfdisk reads its script from standard input only.
        self.run(["sh", "-c", 'sfdisk --quiet "$1" <"$2"', "sfdisk", str(self.raw), str(script)])

    def fill_root(self) -> None:
        self.log(f"{self.recipe.name}: making the root file system")
        self.root.mkdir()
        size = gpt_disk.root_size(self.recipe.disk_size) // 1024
        uuid = self.ids.root_filesystem
        # fakeroot remembers owners and devices from tar to mke2fs; the same for root, who may lack
        # the right to make devices in a container.
        extract = ["tar", "--extract", "--numeric-owner", "--preserve-permissions",
                   f"--file={self.work / 'root.tar'}", f"--directory={self.root}"]
        fill = ["mke2fs", "-q", "-F", "-t", "ext4", "-O", _EXT4_FEATURES, "-b", "4096",
                "-L", "root", "-U", f"{uuid}", "-d", f"{self.root}", "-E",
                f"offset={gpt_disk.ROOT_START},root_owner=0:0,hash_seed={uuid},"
                "lazy_itable_init=0,lazy_journal_init=0", f"{self.raw}", f"{size}k"]  # fmt: skip
        self.run(["fakeroot", "sh", "-ec", f"{shlex.join(extract)}\n{shlex.join(fill)}"])
        self._set_capabilities()
        grub = self.root / "boot/grub/i386-pc"
        gpt_disk.install_grub(
            self.raw, (grub / "boot.img").read_bytes(), (grub / "core.img").read_bytes()
        )

    def _set_capabilities(self) -> None:
        """File capabilities, which fakeroot 1.31 takes but spoils the file's type over."""
        script = self.work / "capabilities"
        commands = []
        for number, (name, value) in enumerate(_capabilities(self.work / "root.tar")):
            (self.work / f"capability{number}").write_bytes(value)
            commands.append(f'ea_set -f capability{number} "{name}" security.capability\n')
        script.write_text("".join(commands), encoding="utf-8")
        root = f"{self.raw}?offset={gpt_disk.ROOT_START}"
        if commands:
            self.run(["sh", "-ec", 'cd "$1" && debugfs -w -f capabilities "$2"', "debugfs",
                      str(self.work), root])  # fmt: skip

    def convert(self, disk: Path) -> None:
        self.log(f"{self.recipe.name}: writing {disk}")
        # Not compressed: every boot of every machine on this base reads it.
        self.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(self.raw), str(disk)])


def _directory() -> Path:
    return Path(str(resources.files(__package__) / "recipe_files"))


def _files() -> Iterator[tuple[str, Path]]:
    directory = _directory()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path.relative_to(directory).as_posix(), path


def _files_tar() -> bytes:
    """``root/`` as a tar, owned by root whoever installed the harness."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in _files():
            if name.startswith("root/"):
                member = tarfile.TarInfo(name.removeprefix("root/"))
                member.size = path.stat().st_size
                member.mode = 0o755 if "/hooks/" in name else 0o644
                with path.open("rb") as file:
                    tar.addfile(member, file)
    return buffer.getvalue()


def _capabilities(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Every file capability in a tar as GNU tar writes it: path and value."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if value := member.pax_headers.get("SCHILY.xattr.security.capability"):
                yield "/" + member.name.removeprefix("./"), value.encode("utf-8", "surrogateescape")


def _keyring_options(sources: tuple[str, ...]) -> list[str]:
    """What makes mmdebstrap's own choice of an archive work where apt does not trust Debian."""
    if not apt_sources.KEYRING.exists():
        raise ToolMissingError(
            f"{apt_sources.KEYRING} is missing: packages from Debian cannot be verified. "
            "Install with: apt-get install debian-archive-keyring"
        )
    return [] if sources else [f"--keyring={apt_sources.KEYRING}"]


def _temporary_directory(work: Path) -> dict[str, str]:
    """TMPDIR for mmdebstrap: ``work``, unless a plain user's other ids could not get there."""
    reachable = os.geteuid() == 0 or all(
        parent.stat().st_mode & stat.S_IXOTH for parent in work.resolve().parents
    )
    if not reachable:
        return {}
    temporary = work / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    return {"TMPDIR": str(temporary)}


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
