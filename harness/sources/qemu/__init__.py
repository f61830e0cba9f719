"""Local machines under QEMU, and disk images as files."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness import cache, naming
from harness.errors import ConfigurationError, DisconnectedError, SourceError
from harness.model import Image, Resource
from harness.sources.base import Connection, Context, Instance, Source
from harness.sources.qemu import accelerator, access, bases, disk, processes, warm
from harness.sources.qemu.blueprint import Blueprint
from harness.sources.qemu.child_process import ChildRunner, require_tools
from harness.sources.qemu.vm import PROGRAM, VirtualMachine
from harness.sources.ssh_options import SshOptions

if TYPE_CHECKING:
    from harness import ssh
    from harness.sources.qemu.bases import Base

TOOLS = {PROGRAM: "qemu-system-x86", "qemu-img": "qemu-utils"}
SHUTDOWN_TIMEOUT = 300.0


@dataclass(frozen=True)
class Qemu(SshOptions, Source):
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
        warm_boot: resume a machine like this one that was booted and saved earlier (default);
            the first build saves it. False, or ``--cold``: boot every machine from the start.
        image_name: the file's name without its ending; may hold ``{timestamp}``, ``{build}``,
            ``{source}``. Default ``{build}-{source}-{timestamp}``. An image that is already there
            is never replaced.
        output_directory: where images go; a relative path starts at pytest's rootdir. Default
            ``images``. The newest image of a build is also at
            ``<output_directory>/<build>.<source>.<format>``.

    The options of `SshOptions` say how the machine is reached. A port of this computer leads to
    its ``ssh_port``; with ``ssh_host``, the address that it has on a network of yours, nothing is
    forwarded, and a bastion or a proxy may lie on the way.

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
    warm_boot: bool = True
    image_name: str = "{build}-{source}-{timestamp}"
    output_directory: str | Path = "images"

    def validate(self, context: Context) -> None:
        _one_of("format", self.format, tuple(disk.FORMATS))
        _one_of("accelerator", self.accelerator, accelerator.CHOICES)
        _at_least("memory", self.memory, 64, "MiB")
        _at_least("cpus", self.cpus, 1, "")
        self.validate_ssh(context)
        self._check_route()
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
        blueprint = self._blueprint(context)
        directory = cache.directory() / "machines" / f"{context.run_id}-{context.build}"
        for kind in ("directory", "process"):
            context.journal.intend(Resource(kind, str(directory), self.type, context.build))
        directory.mkdir(parents=True, mode=0o700)
        keys = access.Keys.generate(self.temporary_key())
        vm = blueprint.machine(f"{context.build}-{secrets.token_hex(4)}", directory, keys)
        vm.public_key = keys.public if self.ssh_clear_authorized_keys else ""
        try:
            self._start(vm, blueprint, context)
        except BaseException:
            vm.kill()
            raise
        vm.inputs = {
            **blueprint.base.inputs,
            "accelerator": vm.accelerator,
            "boot": "warm" if vm.connection else "cold",
        }
        return vm

    def connect(self, instance: Instance, context: Context) -> Connection:
        vm = _vm(instance)
        return vm.connection or self._log_in(context, vm, vm.keys)

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
            _vm(instance).resources.close()
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

    def _blueprint(self, context: Context) -> Blueprint:
        base = bases.resolve(self.base, context)
        size = self._disk_size(base)
        return Blueprint(base, self.memory, self.cpus, size, self.ssh_username, self.ssh_port)

    def _start(self, vm: VirtualMachine, blueprint: Blueprint, context: Context) -> None:
        run = _runner(context)
        if accelerated := self._may_resume(vm, context):
            log_in = functools.partial(self._log_in, context)
            warmer = warm.Warmer(blueprint, accelerated, log_in, run, context)
            vm.connection = warmer.start(vm)
        if vm.connection is None:
            blueprint.give_disk(vm, run)
            prints = blueprint.base.reads_credentials
            accelerator.start(vm, self.accelerator, context, prints=prints)

    def _may_resume(self, vm: VirtualMachine, context: Context) -> str | None:
        """Under which accelerator a saved machine would do; None: it must be booted."""
        # A state's key is our own: where somebody else's lets us in, it would not.
        ours = vm.keys.public and not self.ssh_host
        if not (self.warm_boot and ours) or context.cold:
            return None
        return accelerator.known(self.accelerator)

    def _log_in(self, context: Context, vm: VirtualMachine, keys: access.Keys) -> ssh.Connection:
        endpoint = self.endpoint(context, "127.0.0.1", vm.port, keys.private, keys.host_public)
        return self.connect_ssh(endpoint, context, alive=vm.hopeless, ready=vm.says_that_ssh_is_up)

    def _check_route(self) -> None:
        for option in ("ssh_bastion_host", "ssh_proxy_host"):
            if getattr(self, option) and not self.ssh_host:
                raise ConfigurationError(
                    f"{option}={getattr(self, option)!r}: a local machine is reached at a port of "
                    "this computer, and nothing lies between. Leave it out; or say with ssh_host "
                    "which address the machine has on a network of yours"
                )

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
