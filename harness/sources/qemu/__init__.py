"""Local machines under QEMU, and disk images as files."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.errors import SourceError
from harness.model import LocalDemand
from harness.options import Range
from harness.secret import MASK, Secret
from harness.sources.base import Checkpoints, Connection, Context, Instance, Source
from harness.sources.qemu import access, bases, capture, launch, options, processes, shutdown
from harness.sources.qemu.vm import VirtualMachine
from harness.sources.ssh_options import SshOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.model import Image, Resource


@dataclass(frozen=True, kw_only=True)
class Qemu(SshOptions, Source):
    """A virtual machine on this computer; its image is a file.

    Relative paths start at the build's file, those of images at pytest's rootdir.

    Args:
        base: a recipe (``debian-12``, ``debian-13``, ``ubuntu-24.04``), made once from the
            distribution's archive and kept; the URL of an image with cloud-init inside, such as a
            distribution's cloud image, or several URLs of it, tried in their order; or a local
            file. An image may be of any format that qemu-img reads, and is never written to.
        base_checksum: what a file must be: ``"sha256:HEX"`` or ``"sha512:HEX"``; ``"file:"`` and
            the URL or path of a list such as SHA256SUMS; ``"none"`` for a file that nothing
            vouches for. Needed for a URL.

        name: the source's name in the build's; default ``qemu``.
        params: values of yours, which the build function reads as ``machine.params`` and
            ``image_name`` may use; default none.
        memory: MiB, default 1024.
        cpus: default 2.
        machine_type: default ``q35``.
        cpu_model: default all that the accelerator offers.
        accelerator: ``kvm``, ``hvf``, ``tcg`` (emulation), or ``auto`` (default): the host's, on
            proof that it runs a guest, else tcg. The verdict is remembered until this computer's
            kernel, processor or QEMU is another.
        warm_boot: resume a machine like this one that was booted and saved earlier (default);
            the first build saves it. False, or ``--cold``: boot every machine from the start, as
            is always done with ``efi_boot``, ``qemuargs``, ``user_data``, further disks or a
            window.
        efi_boot: start the machine with EFI firmware (package ovmf) and let it find the base's
            own boot loader. Default: BIOS; recipes then start at their kernel.
        net_device: the network card; default ``virtio-net-pci``.
        headless: False opens a window on the machine's screen. Default True.
        qemuargs: more arguments for QEMU, as ``[["-flag", "value"], ...]``. They take the place
            of all our arguments of that flag, save those that let us in. In values ``{ssh_port}``
            is this computer's port for SSH, ``{disk}`` the machine's disk, ``{directory}`` a
            folder that goes with the machine. A `harness.Secret` among them is still on QEMU's
            command line, which users of this computer can read.

        disk_size: ``"10G"``, ``"4096M"`` or a number of MiB; default: the base's. Not smaller
            than that. Recipes and cloud images grow their root file system into it.
        disk_additional_size: sizes of further, empty disks. Each becomes a file beside the
            image, ``<image_name>-1`` and so on.
        disk_interface: ``virtio`` (default), ``virtio-scsi``, ``scsi``, ``sata``, ``ide``,
            ``nvme``.
        disk_cache: ``unsafe`` (default: only this run needs the disk), ``writeback``,
            ``writethrough``, ``none``, ``directsync``.
        disk_discard: ``unmap`` (default: what the guest discards is not in the image) or
            ``ignore``.

        user_data: for cloud-init: a cloud-config, a script, or whatever else it reads. What lets
            us in is added. Has a recipe run cloud-init too.
        user_data_file: the same, from a file.
        cd_files: files, folders and patterns that the machine finds on a read-only disk with an
            ISO 9660 file system. A folder with a trailing slash means its contents.
        cd_content: texts for that disk, by their paths on it.
        cd_label: its label; default ``packer``.

        shutdown_command: default: poweroff, as root.
        shutdown_timeout: seconds that it may take, default 300.

        format: of the image: ``qcow2`` (default), ``raw``, ``vmdk``, ``vdi`` or ``vhdx``.
        disk_compression: compress the image (qcow2 only). Default False.
        image_name: the file's name without its ending; may hold ``{timestamp}``,
            ``{isotime:%Y-%m-%d}`` (UTC, any format of strftime), ``{uuid}``, ``{git_sha}`` (all
            of them as when the run started), ``{build}``, ``{source}`` and the ``params``. Default
            ``{build}-{source}-{timestamp}``. An image that is already there is never replaced.
        output_directory: where images go; default ``images``. The newest image of a build is also
            at ``<output_directory>/<build>.<source>.<format>``.

    The options of `SshOptions` say how the machine is reached. A port of this computer leads to
    its ``ssh_port``; with ``ssh_host``, the address that it has on a network of yours, nothing is
    forwarded, and a bastion or a proxy may lie on the way.

    Example:
        ```python
        harness.Qemu(
            base="https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2",
            base_checksum="file:https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS",
            image_name="web-{timestamp}",
            memory=2048,
        )
        ```
    """

    type: ClassVar[str] = "qemu"
    named_by: ClassVar[str] = "image_name"
    ranges: ClassVar[Mapping[str, Range]] = {
        **SshOptions.ranges,
        "memory": Range(64, unit="MiB"),
        "cpus": Range(1, 255),
        "shutdown_timeout": Range(1, unit="seconds"),
    }
    instead: ClassVar[Mapping[str, str]] = {
        **SshOptions.instead,
        "iso_url": "nothing is installed from a CD; start from a disk image, base=",
        "iso_checksum": "the checksum of base= is base_checksum",
        "disk_image": "base= is always a disk image; leave it out",
        "vm_name": "image_name= names the image's file",
    }

    base: str | Path | Sequence[str] = "debian-12"
    base_checksum: str = ""
    name: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    memory: int = 1024
    cpus: int = 2
    machine_type: str = "q35"
    cpu_model: str = ""
    accelerator: str = "auto"
    warm_boot: bool = True
    efi_boot: bool = False
    net_device: str = "virtio-net-pci"
    headless: bool = True
    qemuargs: Sequence[Sequence[str | Secret]] = ()
    disk_size: str | int | None = None
    disk_additional_size: Sequence[str | int] = ()
    disk_interface: str = "virtio"
    disk_cache: str = "unsafe"
    disk_discard: str = "unmap"
    user_data: str | Secret = field(default="", repr=False)
    user_data_file: str | Path = ""
    cd_files: Sequence[str | Path] = ()
    cd_content: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    cd_label: str = "packer"
    shutdown_command: str | Secret = ""
    shutdown_timeout: float = 300.0
    format: str = "qcow2"
    disk_compression: bool = False
    image_name: str = "{build}-{source}-{timestamp}"
    output_directory: str | Path = "images"

    def validate(self, context: Context) -> None:
        options.check(self, context)
        capture.check_targets(self, context)

    def options(self) -> dict[str, Any]:
        """As everywhere, but without what may be secret: signatures of URLs, texts."""
        shown = {
            **super().options(),
            "base": bases.shown(self.base),
            "cd_files": [str(path) for path in self.cd_files],
            "cd_content": {name: _hash(text) for name, text in self.cd_content.items()},
        }
        return {**shown, "user_data": _hash(self.user_data)} if self.user_data else shown

    def local_demand(self) -> LocalDemand:
        return LocalDemand(self.memory, self.cpus)

    def launch(self, context: Context) -> Instance:
        return launch.launch(self, context)

    def facts(self, context: Context) -> Mapping[str, Any]:
        return launch.facts(self, context)

    def find_image(self, made_of: str, noted: Image | None, context: Context) -> Image | None:
        del made_of
        return noted if noted and capture.is_there(noted, context) else None

    def checkpoints(self, context: Context) -> Checkpoints | None:
        return launch.checkpoints(self, context)

    def keep(self, instance: Instance, context: Context) -> dict[str, Any]:
        del context
        return launch.keep(_vm(instance))

    def reopen(self, instance: Instance, connection: Connection, context: Context) -> None:
        del context
        access.reopen(connection, _vm(instance).keys, self.ssh_username)

    def attach(self, record: Mapping[str, Any], context: Context) -> Instance:
        return launch.attach(self, record, context)

    def connect(self, instance: Instance, context: Context) -> Connection:
        vm = _vm(instance)
        return vm.connection or launch.log_in(self, context, vm, vm.keys)

    def console(self, instance: Instance, context: Context) -> bytes:
        del context
        return _vm(instance).console.read_bytes()

    def revive(self, instance: Instance, context: Context) -> None:
        del context
        vm = _vm(instance)
        if vm.has_shut_down():
            vm.restart()
        elif reason := vm.ended():
            raise SourceError(f"{vm.id}: {reason}")

    def stop(self, instance: Instance, connection: Connection, context: Context) -> None:
        shutdown.shut_down(self, _vm(instance), connection, context.cancel)

    def capture(self, instance: Instance, context: Context) -> Image:
        return capture.capture(self, _vm(instance), context)

    def publish(self, image: Image, context: Context) -> Image:
        return capture.publish(self, image, context)

    def destroy(self, instance: Instance | None, context: Context) -> None:
        if instance is not None:
            _vm(instance).kill()
        super().destroy(instance, context)

    @classmethod
    def remove(cls, resource: Resource) -> bool:
        if resource.kind == "process":
            return processes.kill(resource.id)
        path = Path(resource.id)
        existed = path.exists()
        if resource.kind == "directory":
            shutil.rmtree(path, ignore_errors=not existed)
        else:
            path.unlink(missing_ok=True)
        return existed


def _vm(instance: Instance) -> VirtualMachine:
    assert isinstance(instance, VirtualMachine)
    return instance


def _hash(text: str | Secret) -> str:
    if isinstance(text, Secret):
        return MASK  # whoever guesses it could tell by its hash
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
