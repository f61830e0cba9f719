"""What a machine is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.sources.qemu import accelerator, access, command, disk
from harness.sources.qemu.command import Place
from harness.sources.qemu.vm import VirtualMachine

if TYPE_CHECKING:
    from harness.sources.qemu.bases import Base
    from harness.sources.qemu.child_process import Runner
    from harness.sources.qemu.command import Shape
    from harness.sources.qemu.media import Disc


SAVED_AS = 3
"""The way in which machines are saved; what was saved in another is of no use."""


@dataclass(frozen=True)
class Blueprint:
    """All that decides how a machine boots, and what is in it when it has booted.

    ``disk_size`` is in bytes (None: the base's).
    """

    base: Base
    disk_size: int | None
    shape: Shape
    username: str
    user_data: str
    cd: Disc

    @property
    def may_be_saved(self) -> bool:
        """Whether another machine may go on from where one of this kind has booted to.

        What the author's user data did is meant for one machine. The rest is not in a saved state:
        variables of firmware, further disks, whatever ``qemuargs`` may bring.
        """
        shape = self.shape
        own = (shape.firmware, shape.additional_disks, shape.window, shape.qemuargs)
        return not any((self.user_data, *own))

    def machine(self, machine_id: str, directory: Path, keys: access.Keys) -> VirtualMachine:
        """A machine that has no disk yet, and will learn these keys when it boots."""
        arguments = self._login(machine_id, directory, keys)
        if self.shape.firmware:
            arguments += self.shape.firmware.arguments(directory)
        if self.cd.files:
            arguments += self.cd.write(directory / "cd.iso")
        return VirtualMachine(machine_id, directory, keys, self.shape, arguments)

    def give_disks(self, vm: VirtualMachine, run: Runner) -> None:
        """The base's disk, of which the machine writes to a copy, and the empty ones."""
        first, *others = vm.place.disks(self.shape)
        disk.create_overlay(run, self.base.path, self.base.format, first, self.disk_size)
        for path, size in zip(others, self.shape.additional_disks, strict=True):
            disk.create_empty(run, path, size)

    def digest(self, accelerator_name: str) -> str:
        """Equal for machines of which one may resume what another has saved."""
        parts = [
            SAVED_AS,
            asdict(self.base),
            self.disk_size,
            command.build(self.shape, Place("", Path(), 0), accelerator_name, []),
            self.username,
            self.cd.digest,
            accelerator.host(accelerator_name),
        ]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()

    def _login(self, machine_id: str, directory: Path, keys: access.Keys) -> list[str]:
        if self.base.reads_credentials and self.username == "root" and not self.user_data:
            return access.credentials(keys, directory)
        return access.nocloud(keys, self.username, machine_id, self.user_data, directory)
