"""The stages that turn a recipe into a disk, each a few programs and the files between them.

What is in the guest and why can be read in recipe_files/: ``root/`` is copied into the root file
system before the packages are installed, and ``finish`` runs in it afterwards.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import stat
import tarfile
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from harness.sources.qemu import apt_sources, gpt_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.sources.qemu.child_process import Runner
    from harness.sources.qemu.distributions import Distribution

# Every feature by name: what mke2fs.conf of the building machine has is its own affair, and
# GRUB and e2fsck of the recipe's suite must know them.
EXT4_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,"
    "sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
)


@dataclass(frozen=True)
class Stages:
    """One disk in the making; the stages are called in the order in which they stand here."""

    work: Path
    ids: gpt_disk.Identifiers
    disk_size: int
    run: Runner

    @property
    def raw(self) -> Path:
        return self.work / "disk.raw"

    @property
    def archive(self) -> Path:
        return self.work / "root.tar"

    @property
    def root(self) -> Path:
        return self.work / "root"

    def install_packages(
        self,
        suite: str,
        packages: tuple[str, ...],
        sources: tuple[str, ...],
        distribution: Distribution,
    ) -> None:
        """The root file system as a tar, with owners and devices as they should be."""
        (self.work / "apt.conf").write_text(apt_sources.access_settings(), encoding="utf-8")
        (self.work / "files.tar").write_bytes(files_tar())
        with _temporary_directory(self.work) as temporary:
            self.run(
                [
                    "mmdebstrap",
                    "--variant=apt",
                    "--architectures=amd64",
                    f"--components={distribution.components}",
                    *_keyring_options(distribution, sources, temporary),
                    f"--include={','.join(packages)}",
                    f"--aptopt={self.work / 'apt.conf'}",
                    # Before the kernel is installed: its initrd is made with our settings.
                    f"--essential-hook=tar-in {_quoted(self.work / 'files.tar')} /",
                    f"--customize-hook=upload {_quoted(_directory() / 'finish')} /finish",
                    f'--customize-hook=chroot "$1" sh /finish {self.ids.root_filesystem}',
                    '--customize-hook=rm "$1/finish"',
                    suite,
                    str(self.archive),
                    *sources,
                ],
                environ={"TMPDIR": str(temporary)},
            )

    def partition(self) -> None:
        with self.raw.open("wb") as file:
            file.truncate(self.disk_size)
        script = self.work / "partitions"
        script.write_text(gpt_disk.sfdisk_script(self.disk_size, self.ids), encoding="utf-8")
        # sfdisk reads its script from standard input only.
        self.run(["sh", "-c", 'sfdisk --quiet "$1" <"$2"', "sfdisk", str(self.raw), str(script)])

    def fill_root(self) -> None:
        """The root file system from the tar into its partition.

        fakeroot remembers owners and devices from one program to the next; for root too, who may
        lack the right to make devices in a container.
        """
        self.root.mkdir()
        unpack: list[str | Path] = ["tar", "-x", "-p", "--numeric-owner", "-f", self.archive]
        unpack += ["-C", self.root]
        self.run(["fakeroot", "sh", "-ec", f"{_shell(unpack)}\n{_shell(self._mke2fs())}"])

    def set_capabilities(self) -> None:
        """File capabilities; where they go through fakeroot 1.31, the file's type is lost."""
        commands = []
        for number, (name, value) in enumerate(capabilities(self.archive)):
            (self.work / f"capability{number}").write_bytes(value)
            commands.append(f'ea_set -f capability{number} "{name}" security.capability\n')
        if commands:
            (self.work / "capabilities").write_text("".join(commands), encoding="utf-8")
            script = 'cd "$1" && exec debugfs -w -f capabilities "$2"'
            root = f"{self.raw}?offset={gpt_disk.ROOT_START}"
            self.run(["sh", "-c", script, "debugfs", str(self.work), root])

    def install_grub(self) -> None:
        images = self.root / "boot/grub/i386-pc"
        boot, core = ((images / name).read_bytes() for name in ("boot.img", "core.img"))
        gpt_disk.install_grub(self.raw, boot, core)

    def install_efi_loader(self) -> None:
        """GRUB for EFI firmware, under the name that any firmware looks for on any disk."""
        partition = f"{self.raw}@@{gpt_disk.EFI_START}"
        sectors = (gpt_disk.ROOT_START - gpt_disk.EFI_START) // gpt_disk.SECTOR
        number = self.ids.root_filesystem.hex[:8]
        self.run(["mformat", "-i", partition, "-T", str(sectors), "-N", number, "-v", "EFI", "::"])
        self.run(["mmd", "-i", partition, "::/EFI", "::/EFI/BOOT"])
        loader = self.root / "boot/grub/x86_64-efi/core.efi"
        self.run(["mcopy", "-i", partition, str(loader), "::/EFI/BOOT/BOOTX64.EFI"])

    def keep_kernel(self, directory: Path) -> None:
        """What GRUB would load, beside the disk: a machine's first boot is seconds faster so."""
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile(self.root / name, directory / name)
        menu = (self.root / "boot/grub/grub.cfg").read_text(encoding="utf-8")
        found = re.search(r"^\s*linux \S+ (.+)$", menu, re.MULTILINE)
        assert found is not None
        (directory / "cmdline").write_text(found[1], encoding="utf-8")

    def convert(self, disk: Path) -> None:
        # Not compressed: every boot of every machine on this base reads it.
        self.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(self.raw), str(disk)])

    def _mke2fs(self) -> list[str | Path]:
        uuid = self.ids.root_filesystem
        # Nothing is left for the guest's first mount to initialise.
        extended = (
            f"offset={gpt_disk.ROOT_START},root_owner=0:0,hash_seed={uuid},"
            "lazy_itable_init=0,lazy_journal_init=0"
        )
        identity: list[str | Path] = ["-L", "root", "-U", str(uuid), "-E", extended]
        layout = ["-t", "ext4", "-O", EXT4_FEATURES, "-b", "4096"]
        size = f"{gpt_disk.root_size(self.disk_size) // 1024}k"
        return ["mke2fs", "-q", "-F", *layout, *identity, "-d", self.root, self.raw, size]


def recipe_files() -> Iterator[tuple[str, Path]]:
    """Every file of recipe_files/ by its name there, in a fixed order."""
    directory = _directory()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path.relative_to(directory).as_posix(), path


def files_tar() -> bytes:
    """``root/`` as a tar, owned by root and with the same modes whoever installed the harness."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in recipe_files():
            if name.startswith("root/"):
                member = tarfile.TarInfo(name.removeprefix("root/"))
                member.size = path.stat().st_size
                member.mode = 0o755 if "/hooks/" in name else 0o644
                with path.open("rb") as file:
                    tar.addfile(member, file)
    return buffer.getvalue()


def capabilities(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Every file capability in a tar that GNU tar wrote: the file's path and the value."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if value := member.pax_headers.get("SCHILY.xattr.security.capability"):
                yield f"/{member.name.removeprefix('./')}", value.encode(errors="surrogateescape")


def _directory() -> Path:
    return Path(str(resources.files(__package__) / "recipe_files"))


def _keyring_options(
    distribution: Distribution, sources: tuple[str, ...], temporary: Path
) -> list[str]:
    """What mmdebstrap must be told of the keys where the source lines say nothing of them."""
    if distribution.keyring_package:
        return [] if sources else [f"--keyring={distribution.keyring}"]
    reachable = temporary / distribution.keyring.name
    shutil.copyfile(distribution.keyring, reachable)
    reachable.chmod(0o644)
    return [f"--keyring={reachable}", "--skip=check/signed-by"]


@contextlib.contextmanager
def _temporary_directory(work: Path) -> Iterator[Path]:
    """A folder that mmdebstrap's user ids get to: in ``work``, unless a plain user's cannot."""
    reachable = os.geteuid() == 0 or all(
        parent.stat().st_mode & stat.S_IXOTH for parent in (work, *work.resolve().parents)
    )
    where = work if reachable else None
    with tempfile.TemporaryDirectory(dir=where, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o1777)
        yield Path(name)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _shell(argv: list[str | Path]) -> str:
    return shlex.join(str(word) for word in argv)
