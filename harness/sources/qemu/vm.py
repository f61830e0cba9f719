"""One QEMU process: its command line, its console, its end."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import SourceError
from harness.sources.qemu import disk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.cancel import CancelToken
    from harness.sources.qemu.access import Keys

PROGRAM = "qemu-system-x86_64"
SSH_IS_UP = re.compile(rb"Started .*\bsshd?\.service")
"""What systemd prints when the server listens."""
_CPU = {"tcg": "max", "kvm": "host", "hvf": "host"}
_ACCEL = {"tcg": "tcg,thread=multi", "kvm": "kvm", "hvf": "hvf"}


@dataclass(frozen=True)
class Shape:
    """What a machine is made of; memory in MiB."""

    memory: int
    cpus: int
    arguments: Sequence[str]
    first_boot: Sequence[str] = ()
    """Arguments of the first boot only: a kernel that the disk may not have any more afterwards."""


@dataclass
class VirtualMachine:
    """A machine as its source knows it; everything of it lies in ``directory``."""

    id: str
    directory: Path
    keys: Keys
    shape: Shape
    inputs: Mapping[str, Any] = field(default_factory=dict)
    accelerator: str = ""
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _reservation: socket.socket | None = None

    @property
    def public_key(self) -> str:
        return self.keys.public

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    def start(self, accelerator: str) -> None:
        """Start QEMU; it runs when this returns, the guest has only begun to boot."""
        self.kill()
        self._reservation = _reserve_port()
        self.port = self._reservation.getsockname()[1]
        self.accelerator = accelerator
        self.console.touch()
        self._launch(self.shape.first_boot)

    def restart(self) -> None:
        """Start QEMU anew on the same disk, at the same port, after the guest has ended it."""
        self._launch(())

    def _launch(self, further_arguments: Sequence[str]) -> None:
        with (self.directory / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._command(), *further_arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Away from the terminal: Ctrl-C is for us, who shut it down in order.
                start_new_session=True,
            )

    def ended(self) -> str | None:
        """How QEMU ended; None: it runs."""
        if self._process is None or self._process.poll() is None:
            return None
        said = (self.directory / "qemu.log").read_text(errors="replace").strip()
        return f"QEMU ended with status {self._process.returncode}{': ' if said else ''}{said}"

    def has_shut_down(self) -> bool:
        """Whether the guest has ended QEMU in order: a reboot of its first boot looks the same."""
        return self._process is not None and self._process.poll() == 0

    def says_that_ssh_is_up(self) -> bool:
        """Whether the guest has said so on its console; many do, none must."""
        return SSH_IS_UP.search(self.console.read_bytes()) is not None

    def wait(self, timeout: float, cancel: CancelToken) -> None:
        """Wait until the guest has switched itself off."""
        deadline = time.monotonic() + timeout
        while not self.ended():
            if time.monotonic() > deadline:
                raise SourceError(f"{self.id} did not shut down within {timeout:g} s")
            cancel.sleep(0.02)
        assert self._process is not None
        if self._process.returncode:
            raise SourceError(f"{self.id}: {self.ended()}")

    def kill(self) -> None:
        """End QEMU, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None

    def _command(self) -> list[str]:
        # cache=unsafe: nobody needs the overlay after a crash, and the image is synced by us.
        drive = f"file={disk.escaped(self.disk)},if=virtio,format=qcow2,cache=unsafe,discard=unmap"
        forward = f"user,id=net0,hostfwd=tcp:127.0.0.1:{self.port}-:22"
        return [
            PROGRAM,
            *("-name", self.id),
            *("-machine", "q35"),
            *("-accel", _ACCEL[self.accelerator]),
            *("-cpu", _CPU[self.accelerator]),
            *("-m", str(self.shape.memory)),
            *("-smp", str(self.shape.cpus)),
            *("-display", "none"),
            *("-monitor", "none"),
            # A guest that reboots writes on behind what it said before.
            *("-chardev", f"file,id=console,path={disk.escaped(self.console)},append=on"),
            *("-serial", "chardev:console"),
            *("-drive", drive),
            *("-netdev", forward),
            *("-device", "virtio-net-pci,netdev=net0,romfile="),
            *("-device", "virtio-rng-pci"),
            *self.shape.arguments,
        ]


def _reserve_port() -> socket.socket:
    """A port for QEMU to listen on, which nobody else gets while we hold it.

    Bound but not listening, with SO_REUSEADDR as QEMU's own: QEMU may bind it too.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.ExitStack() as undo:
        undo.callback(reservation.close)
        reservation.bind(("127.0.0.1", 0))
        undo.pop_all()
    return reservation
