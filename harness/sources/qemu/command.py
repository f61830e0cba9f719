"""QEMU's command line: what a machine is made of, and what a build's author puts in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.sources.qemu import capabilities
from harness.sources.qemu.disk import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.sources.qemu.firmware import Firmware

ACCELERATORS = {"tcg": ("tcg,thread=multi", "max"), "kvm": ("kvm", "host"), "hvf": ("hvf", "host")}
"""For each accelerator what -accel and -cpu are told."""

DISK_INTERFACES = {
    "virtio": (),
    "ide": (),
    "virtio-scsi": ("virtio-scsi-pci,id=controller", "scsi-hd,bus=controller.0"),
    "scsi": ("lsi53c895a,id=controller", "scsi-hd,bus=controller.0"),
    "sata": ("ahci,id=controller", "ide-hd,bus=controller.{number}"),
    "nvme": ("", "nvme,serial=disk{number}"),
}
"""For each interface the controller, if it has one, and the device of a disk; none: -drive alone
makes both."""

BOOT_FLAGS = {"-bios", "-boot", "-initrd", "-kernel", "-pflash"}
"""Who gives one of these wants another boot than ours."""


@dataclass(frozen=True)
class Shape:
    """The machine that a guest finds when it starts; memory in MiB, sizes of disks in bytes."""

    memory: int
    cpus: int
    machine_type: str
    cpu_model: str
    additional_disks: tuple[int, ...]
    disk_interface: str
    disk_cache: str
    disk_discard: str
    net_device: str
    window: str | None
    firmware: Firmware | None
    boot: tuple[tuple[str, ...], ...]
    qemuargs: tuple[tuple[str, ...], ...]
    ssh_port: int


@dataclass(frozen=True)
class Place:
    """What differs between two machines of one shape."""

    id: str
    directory: Path
    port: int

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    def disks(self, shape: Shape) -> list[Path]:
        """The disk that becomes the image, and the additional ones."""
        more = range(1, len(shape.additional_disks) + 1)
        return [self.disk, *(self.directory / f"disk-{number}.qcow2" for number in more)]


def build(shape: Shape, place: Place, accelerator: str, own: Sequence[str]) -> list[str]:
    """The command line.

    Args:
        shape: of the machine; its ``qemuargs`` take the place of every default of the same flag.
        place: of this one machine.
        accelerator: a key of `ACCELERATORS`.
        own: arguments that stay whatever ``qemuargs`` say: without them nobody could log in.
    """
    given = [_filled(argument, place) for argument in shape.qemuargs]
    replaced = {flag for flag, *_ in given}
    defaults = [*_defaults(shape, place, accelerator), *shape.boot]
    kept = [argument for argument in defaults if argument[0] not in replaced]
    # By the pid file's path a later run finds the process, should this one be killed.
    fixed = ["-pidfile", str(place.directory / "pid"), *own]
    # A guest that reboots, or was resumed, writes on behind what was said before.
    fixed += ["-chardev", f"file,id=console,path={escaped(place.console)},append=on"]
    return [capabilities.PROGRAM, *(word for each in (*kept, *given) for word in each), *fixed]


def boots_otherwise(qemuargs: Sequence[Sequence[str]]) -> bool:
    """Whether ``qemuargs`` say what the machine boots, or with which firmware."""
    return any(flag in BOOT_FLAGS or "if=pflash" in "".join(value) for flag, *value in qemuargs)


def _filled(argument: Sequence[str], place: Place) -> list[str]:
    fields = {
        "{disk}": escaped(place.disk),
        "{directory}": escaped(place.directory),
        "{ssh_port}": str(place.port),
    }
    # Not str.format: QEMU's own JSON has braces.
    flag, *values = argument
    for field, value in fields.items():
        values = [text.replace(field, value) for text in values]
    return [flag, *values]


def _defaults(shape: Shape, place: Place, accelerator: str) -> Iterator[tuple[str, ...]]:
    accel, cpu = ACCELERATORS[accelerator]
    yield "-name", place.id
    yield "-machine", shape.machine_type
    yield "-accel", accel
    yield "-cpu", shape.cpu_model or cpu
    yield "-m", str(shape.memory)
    yield "-smp", str(shape.cpus)
    yield "-display", shape.window or "none"
    yield "-monitor", "none"
    yield "-serial", "chardev:console"
    yield from _disks(shape, place)
    yield "-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{place.port}-:{shape.ssh_port}"
    # No ROM: nothing boots from the network, and not every QEMU has its file.
    yield "-device", f"{shape.net_device},netdev=net0,romfile="
    yield "-device", "virtio-rng-pci"
    # Tells the guest's kernel, where it has the driver, that it was resumed anew.
    yield "-device", "vmgenid,guid=auto"


def _disks(shape: Shape, place: Place) -> Iterator[tuple[str, ...]]:
    options = f"format=qcow2,cache={shape.disk_cache},discard={shape.disk_discard}"
    paths = place.disks(shape)
    if not (kinds := DISK_INTERFACES[shape.disk_interface]):
        for path in paths:
            yield "-drive", f"file={escaped(path)},if={shape.disk_interface},{options}"
        return
    controller, device = kinds
    if controller:
        yield "-device", controller
    for number, path in enumerate(paths):
        yield "-drive", f"file={escaped(path)},if=none,id=drive{number},{options}"
        yield "-device", f"{device.format(number=number)},drive=drive{number}"
