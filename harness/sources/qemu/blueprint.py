"""What a machine is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.sources.qemu import accelerator, access, disk
from harness.sources.qemu.vm import Shape, VirtualMachine

if TYPE_CHECKING:
    from harness.sources.qemu.bases import Base
    from harness.sources.qemu.child_process import Runner


@dataclass(frozen=True)
class Blueprint:
    """All that decides how a machine boots, and what is in it when it has booted.

    ``memory`` is in MiB, ``disk_size`` in bytes (None: the base's).
    """

    base: Base
    memory: int
    cpus: int
    disk_size: int | None
    username: str
    ssh_port: int

    def machine(self, machine_id: str, directory: Path, keys: access.Keys) -> VirtualMachine:
        """A machine that has no disk yet, and will learn these keys when it boots."""
        if self.base.reads_credentials and self.username == "root":
            arguments = access.credentials(keys, directory)
        else:
            arguments = access.nocloud(keys, self.username, machine_id, directory)
        return VirtualMachine(machine_id, directory, keys, self._shape(arguments))

    def give_disk(self, vm: VirtualMachine, run: Runner) -> None:
        """The base's disk, of which the machine writes to a copy."""
        disk.create_overlay(run, self.base.path, self.base.format, vm.disk, self.disk_size)

    def digest(self, accelerator_name: str) -> str:
        """Equal for machines of which one may resume what another has saved."""
        vm = VirtualMachine("", Path(), access.Keys("", "", "", ""), self._shape([]))
        parts = [
            asdict(self),
            vm.command(accelerator_name),
            self.base.boot_arguments,
            accelerator.host(accelerator_name),
        ]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()

    def _shape(self, arguments: list[str]) -> Shape:
        return Shape(self.memory, self.cpus, self.ssh_port, arguments, self.base.boot_arguments)
