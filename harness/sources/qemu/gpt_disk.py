"""A bootable GPT disk in a plain file: no loop device, no mount, no privilege.

The partitions are those of Debian's cloud images: 1 is the root file system and the last on the
disk, so that it can grow; 14 holds GRUB for BIOS, 15 GRUB for EFI.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512
MIB = 1024 * 1024
BIOS_BOOT_START = 1 * MIB
EFI_START = 4 * MIB
ROOT_START = 68 * MIB
SECOND_TABLE = 5 * 4096  # 33 sectors, in whole blocks

# Where grub-install patches what grub-mkimage made: include/grub/i386/pc/boot.h and
# include/grub/offsets.h in GRUB's source.
_BOOT_DRIVE_CHECK = 0x66
_KERNEL_SECTOR = 0x5C
_PARTITION_TABLE = 0x1B8
_FIRST_BLOCKLIST = 0x1F4
_NOP_NOP = b"\x90\x90"


@dataclass(frozen=True)
class Identifiers:
    """The identifiers of a disk, the same for the same recipe."""

    disk: uuid.UUID
    root_partition: uuid.UUID
    root_filesystem: uuid.UUID

    @classmethod
    def derived_from(cls, digest: str) -> Identifiers:
        names = ("disk", "root partition", "root file system")
        return cls(*(uuid.uuid5(uuid.NAMESPACE_OID, f"{digest} {name}") for name in names))


def root_size(disk_size: int) -> int:
    """The bytes left for the root partition: all but the second partition table's blocks.

    systemd-repart reckons the same, so that it finds nothing to grow on a disk of this size.
    """
    return disk_size - ROOT_START - SECOND_TABLE


def sfdisk_script(disk_size: int, ids: Identifiers) -> str:
    """The partition table, as sfdisk reads it."""
    root, bios, efi = (
        "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",  # found and grown by systemd-repart
        "21686148-6449-6E6F-744E-656564454649",
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    )
    return "".join(
        f"{line}\n"
        for line in (
            "label: gpt",
            f"label-id: {ids.disk}",
            f"disk1 : {_extent(ROOT_START, root_size(disk_size))}, "
            f"type={root}, uuid={ids.root_partition}",
            f"disk14 : {_extent(BIOS_BOOT_START, EFI_START - BIOS_BOOT_START)}, type={bios}",
            f"disk15 : {_extent(EFI_START, ROOT_START - EFI_START)}, type={efi}",
        )
    )


def install_grub(disk: Path, boot: bytes, core: bytes) -> None:
    """Write GRUB's boot.img and core.img as ``grub-install`` would, into a disk with a table."""
    if len(core) > EFI_START - BIOS_BOOT_START:
        raise ValueError(f"core.img has {len(core)} bytes: more than the BIOS boot partition")
    sector = BIOS_BOOT_START // SECTOR
    with disk.open("r+b") as file:
        table = file.read(SECTOR)[_PARTITION_TABLE:]
        file.seek(0)
        file.write(patched_boot(boot, sector)[:_PARTITION_TABLE] + table)
        file.seek(BIOS_BOOT_START)
        file.write(patched_core(core, sector))


def patched_boot(boot: bytes, core_sector: int) -> bytes:
    """boot.img that loads core.img's first sector, from the drive that the BIOS started."""
    boot = _replace(boot, _KERNEL_SECTOR, struct.pack("<Q", core_sector))
    return _replace(boot, _BOOT_DRIVE_CHECK, _NOP_NOP)


def patched_core(core: bytes, core_sector: int) -> bytes:
    """core.img whose first sector loads the rest, which follows it."""
    return _replace(core, _FIRST_BLOCKLIST, struct.pack("<Q", core_sector + 1))


def _extent(start: int, size: int) -> str:
    return f"start={start // SECTOR}, size={size // SECTOR}"


def _replace(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]
