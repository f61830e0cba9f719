"""Local machines under QEMU, and disk images as files."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness import cache, naming
from harness.errors import ConfigurationError, DisconnectedError, SourceError
from harness.model import Endpoint, Image, Resource
from harness.sources.base import Connection, Context, Instance, Source
from harness.sources.qemu import accelerator, access, bases, disk, processes
from harness.sources.qemu.child_process import ChildRunner, require_tools
from harness.sources.qemu.vm import PROGRAM, Shape, VirtualMachine

if TYPE_CHECKING:
    from harness.sources.qemu.bases import Base

TOOLS = {PROGRAM: "qemu-system-x86", "qemu-img": "qemu-utils"}
SHUTDOWN_TIMEOUT = 300.0


@dataclass(frozen=True)
class Qemu(Source):
    """A virtual machine on this computer; its image is a file.

    Args:
        base: a recipe (``debian-12``), made from this computer's own apt sources once and kept;
            or a local image file with cloud-init inside, in any format that qemu-img reads. A
            relative path starts at the build's file. The base itself is never written to.
        name: the source's name in the build's; default ``qemu``.
        memory: MiB, default 1024.
        cpus: default 2.
        disk_size: ``"10G"``, ``"4096M"`` or a number of MiB; default: the base's. Not smaller
            than that.
        format: of the image: ``qcow2`` (default) or ``raw``.
        accelerator: ``kvm``, ``hvf``, ``tcg`` (emulation), or ``auto`` (default): the host's, on
            proof that it runs a guest, else tcg.
        ssh_username: default ``root``.
        ssh_timeout: seconds to wait for SSH after the start, default 300.
        image_name: the file's name without its ending; may hold ``{timestamp}``, ``{build}``,
            ``{source}``. Default ``{build}-{source}-{timestamp}``. An image that is already there
            is never replaced.
        output_directory: where images go; a relative path starts at pytest's rootdir. Default
            ``images``. The newest image of a build is also at
            ``<output_directory>/<build>.<source>.<format>``.

    Example:
        `harness.Qemu(base="debian-12", image_name="web-{timestamp}", memory=2048)`
    """

    type: ClassVar[str] = "qemu"

    base: str = "debian-12"
    name: str = ""
    memory: int = 1024
    cpus: int = 2
    disk_size: str | int | None = None
    format: str = "qcow2"
    accelerator: str = "auto"
    ssh_username: str = "root"
    ssh_timeout: float = 300.0
    image_name: str = "{build}-{source}-{timestamp}"
    output_directory: str | Path = "images"

    def validate(self, context: Context) -> None:
        _one_of("format", self.format, tuple(disk.FORMATS))
        _one_of("accelerator", self.accelerator, accelerator.CHOICES)
        _at_least("memory", self.memory, 64, "MiB")
        _at_least("cpus", self.cpus, 1, "")
        _at_least("ssh_timeout", self.ssh_timeout, 1, "s")
        if not self.ssh_username:
            raise ConfigurationError('ssh_username="" is no user: name one, or leave it out (root)')
        require_tools(TOOLS, "The source qemu")
        bases.check(self.base, context)
        if self.disk_size is not None:
            disk.parse_size(self.disk_size)
        target = self._target(context)
        if target.exists():
            raise ConfigurationError(
                f"image_name={self.image_name!r}: {target} exists and an image is never replaced; "
                "put {timestamp} into the name, or remove the file"
            )

    def launch(self, context: Context) -> Instance:
        base = bases.resolve(self.base, context)
        size = self._disk_size(base)
        directory = cache.directory() / "machines" / f"{context.run_id}-{context.build}"
        for kind in ("directory", "process"):
            context.journal.intend(Resource(kind, str(directory), self.type, context.build))
        directory.mkdir(parents=True, mode=0o700)
        disk.create_overlay(
            _runner(context), base.path, base.format, directory / "disk.qcow2", size
        )
        keys = access.Keys.generate()
        machine_id = f"{context.build}-{secrets.token_hex(4)}"
        by_credentials = base.reads_credentials and self.ssh_username == "root"
        arguments = (
            access.credentials(keys, directory)
            if by_credentials
            else access.nocloud(keys, self.ssh_username, machine_id, directory)
        )
        shape = Shape(self.memory, self.cpus, arguments, base.boot_arguments)
        vm = VirtualMachine(machine_id, directory, keys, shape, base.inputs)
        try:
            accelerator.start(vm, self.accelerator, context, prints=base.reads_credentials)
        except BaseException:
            vm.kill()
            raise
        vm.inputs = {**base.inputs, "accelerator": vm.accelerator}
        return vm

    def connect(self, instance: Instance, context: Context) -> Connection:
        from harness import ssh  # while the guest boots: paramiko takes its time to load

        vm = _vm(instance)
        endpoint = Endpoint(
            "127.0.0.1", vm.port, self.ssh_username, vm.keys.private, vm.keys.host_public
        )
        return ssh.connect(
            endpoint,
            timeout=self.ssh_timeout,
            cancelled=context.cancel.is_set,
            alive=vm.ended,
            ready=vm.says_that_ssh_is_up,
        )

    def revive(self, instance: Instance, context: Context) -> None:
        del context
        vm = _vm(instance)
        if vm.has_shut_down():
            vm.restart()
        elif reason := vm.ended():
            raise SourceError(f"{vm.id}: {reason}")

    def stop(self, instance: Instance, connection: Connection, context: Context) -> None:
        command = "systemctl poweroff || poweroff || shutdown -h now"
        if self.ssh_username != "root":
            command = f"sudo -n /bin/sh -c '{command}'"
        with contextlib.suppress(DisconnectedError):  # as it should be
            connection.run(command, timeout=30)
        connection.close()
        _vm(instance).wait(SHUTDOWN_TIMEOUT, context.cancel)

    def capture(self, instance: Instance, context: Context) -> Image:
        target = self._target(context)
        partial = _partial(target)
        context.journal.intend(Resource("file", str(partial), self.type, context.build))
        target.parent.mkdir(parents=True, exist_ok=True)
        disk.flatten(_runner(context), _vm(instance).disk, partial, self.format)
        checksum = cache.digest(partial, context.cancel)
        return Image(
            id=_shown(target, context.root),
            build=context.build,
            source_type=self.type,
            format=self.format,
            size=partial.stat().st_size,
            checksum=f"sha256:{checksum}",
            path=target,
            properties={
                "base": instance.inputs["base"]["name"],
                "base_checksum": instance.inputs["base"]["checksum"],
                "accelerator": instance.inputs["accelerator"],
            },
        )

    def publish(self, image: Image, context: Context) -> Image:
        assert image.path is not None
        partial = _partial(image.path)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        # A hard link, which fails where a rename would silently replace what has come meanwhile.
        os.link(partial, image.path)
        partial.unlink()
        context.journal.gone(Resource("file", str(partial), self.type, context.build))
        stable = image.path.with_name(f"{context.build}.{disk.FORMATS[self.format]}")
        _point(stable, image.path)
        return replace(image, stable_path=Path(_shown(stable, context.root)))

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

    def _target(self, context: Context) -> Path:
        name = naming.render("image_name", self.image_name, context)
        if not name or "/" in name or name.startswith("."):
            raise ConfigurationError(
                f"image_name={self.image_name!r} makes the name {name!r}: a name has no slash "
                "(output_directory says where images go), no dot in front, and is not empty"
            )
        directory = context.root / self.output_directory
        return directory / f"{name}.{disk.FORMATS[self.format]}"

    def _disk_size(self, base: Base) -> int | None:
        if self.disk_size is None:
            return None
        size = disk.parse_size(self.disk_size)
        if size < base.size:
            raise ConfigurationError(
                f"disk_size={self.disk_size!r} is less than the {base.size >> 20}M of {base.name}: "
                "a disk can only grow"
            )
        return size


def _vm(instance: Instance) -> VirtualMachine:
    assert isinstance(instance, VirtualMachine)
    return instance


def _runner(context: Context) -> ChildRunner:
    return ChildRunner(log=lambda _: None, cancelled=context.cancel.is_set)


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _shown(path: Path, root: Path) -> str:
    """A path as a person wants to see it: relative to the project where it is inside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _point(link: Path, target: Path) -> None:
    """Let a symbolic link lead to the target, without a moment in which it leads nowhere."""
    if link == target:
        return
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    temporary.symlink_to(target.name)
    temporary.replace(link)


def _one_of(option: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{option}={value!r}: choose one of {', '.join(choices)}")


def _at_least(option: str, value: object, least: float, unit: str) -> None:
    if not isinstance(value, int | float) or value < least:
        raise ConfigurationError(f"{option}={value!r}: at least {least} {unit}".rstrip())
