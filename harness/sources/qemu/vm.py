"""One QEMU process: its start, its console, its state on disk, its end."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness import environment
from harness.console import Watch
from harness.errors import SourceError
from harness.pins import Pins
from harness.sources.qemu import command, qmp
from harness.sources.qemu.command import Place
from harness.sources.qemu.disk import escaped
from harness.sources.qemu.processes import Adopted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.cancel import CancelToken
    from harness.sources.base import Connection
    from harness.sources.qemu.access import Keys
    from harness.sources.qemu.command import Shape
    from harness.sources.qemu.saved import State

SSH_IS_UP = re.compile(rb"Started .*\bsshd?\.service")
"""What systemd prints when the server listens."""
SAVE_TIMEOUT = RESUME_TIMEOUT = 30.0
"""Seconds; either takes a tenth of one."""
UNLIMITED = 1 << 50
"""Bytes a second."""


@dataclass
class VirtualMachine:
    """A machine as its source knows it; everything of it lies in ``directory``."""

    id: str
    directory: Path
    keys: Keys
    shape: Shape
    arguments: Sequence[str] = ()
    """What QEMU is told beside the shape: this machine's keys and files."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    public_key: str = ""
    accelerator: str = ""
    port: int = 0
    memory_file: Path | None = None
    """Where a machine that is to be saved has its memory from the start."""
    connection: Connection | None = None
    """To a machine that was resumed: getting it ready took a login."""
    pins: Pins = field(default_factory=Pins)
    """What it uses of the cache; QEMU holds on to it, even if it outlives us."""
    _process: subprocess.Popen[bytes] | Adopted | None = None
    _monitor: qmp.Monitor | None = None
    _reservation: socket.socket | None = None
    _watch: Watch | None = None

    @property
    def place(self) -> Place:
        return Place(self.id, self.directory, self.port)

    @property
    def disk(self) -> Path:
        return self.place.disk

    @property
    def console(self) -> Path:
        return self.place.console

    @property
    def settled(self) -> bool:
        """A machine that was saved had been waited for."""
        return self.connection is not None

    def start(self, accelerator: str) -> None:
        """Start QEMU; it runs when this returns, the guest has only begun to boot."""
        self.console.write_bytes(b"")
        self._prepare(accelerator)
        self._launch(_memory(self.shape, self.memory_file, shared=True))

    def restart(self) -> None:
        """Start QEMU anew on the same disk, at the same port, after the guest has ended it."""
        self.shape = replace(self.shape, boot=())
        self._launch(_memory(self.shape))

    def save(self, devices: Path) -> None:
        """Save what is neither on the disk nor in ``memory_file``, and end QEMU."""
        monitor = self._control()
        _file_has_memory(monitor, True)
        _migrate(monitor, devices)
        monitor.execute("quit")
        assert self._process is not None
        self._process.wait(SAVE_TIMEOUT)

    def snapshot(self, state: State) -> None:
        """Save the machine with its memory and disk; it stands still meanwhile, and then goes on.

        Raises:
            SourceError: QEMU could not; the machine goes on all the same.
        """
        monitor = self._control()
        _file_has_memory(monitor, False)
        monitor.execute("migrate-set-parameters", **{"max-bandwidth": UNLIMITED})
        monitor.execute("stop")
        try:
            _migrate(monitor, state.devices)
            shutil.copyfile(self.disk, state.disk)
            shutil.copyfile(self.console, state.console)
        finally:
            monitor.execute("cont")

    def resume(self, accelerator: str, state: State) -> None:
        """Start QEMU where another was saved; the guest runs on when this returns.

        A memory file stays as it is: many machines may resume from it, and read only what they
        touch. The console goes on where the other's ended.
        """
        self._prepare(accelerator)
        if state.boots_itself:
            self.shape = replace(self.shape, boot=())
        file = state.memory if state.memory.exists() else None
        self._launch([*_memory(self.shape, file, shared=False), "-incoming", "defer"])
        try:
            self._load(state.devices, has_file=file is not None)
        except SourceError as error:
            raise SourceError(self.ended(wait=1) or str(error)) from error

    def _load(self, devices: Path, *, has_file: bool) -> None:
        monitor = self._control()
        _file_has_memory(monitor, has_file)
        monitor.execute("migrate-incoming", uri=f"exec:cat {shlex.quote(str(devices))}")
        deadline = time.monotonic() + RESUME_TIMEOUT
        while (status := monitor.execute("query-status")["status"]) != "running":
            if status == "paused":  # it was when it was saved
                monitor.execute("cont")
            elif time.monotonic() > deadline:
                raise SourceError(f"the saved machine does not run but is: {status}")
            else:
                time.sleep(0.01)

    def _control(self) -> qmp.Monitor:
        assert self._monitor is not None
        return self._monitor

    def _prepare(self, accelerator: str) -> None:
        self.kill()
        self._reservation = _reserve_port()
        self.port = self._reservation.getsockname()[1]
        self.accelerator = accelerator

    def _launch(self, extra: Sequence[str]) -> None:
        if self._monitor is not None:
            self._monitor.close()
        self._monitor = qmp.Monitor()
        self._watch = Watch(self.console)
        own = [*self.arguments, *self._monitor.arguments, *extra]
        with (self.directory / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                command.build(self.shape, self.place, self.accelerator, own),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment.snapshot(),
                pass_fds=[self._monitor.theirs.fileno(), *self.pins.descriptors],
                # Away from the terminal: Ctrl-C is for us, who shut it down in order.
                start_new_session=True,
            )
        self._monitor.theirs.close()

    def ended(self, wait: float = 0) -> str | None:
        """How QEMU ended; None: it runs, even after so many seconds."""
        if self._process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait)
        if self._process.returncode is None:
            return None
        said = (self.directory / "qemu.log").read_text(errors="replace").strip()
        status = self._process.returncode
        how = f"ended with status {status}"
        if status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        return f"QEMU {how}{': ' if said else ''}{said}"

    def stopped(self) -> str | None:
        """Why the machine does nothing any more, though nobody told it to; None: it runs."""
        if reason := self.ended():
            return reason
        monitor = self._monitor  # which another thread may be taking away
        if error := monitor.disk_error() if monitor else None:
            return f"QEMU stopped the machine, whose disk is in {self.directory}: {error}"
        return None

    def hopeless(self) -> str | None:
        """Why nobody will ever get in; None: somebody may yet."""
        return self.stopped() or (self._watch.trouble() if self._watch else None)

    def has_shut_down(self) -> bool:
        """Whether the guest has ended QEMU in order: a reboot of its first boot looks the same."""
        return self._process is not None and self._process.poll() == 0

    def says_that_ssh_is_up(self) -> bool:
        """Whether the guest has said so on its console; many do, none must."""
        return SSH_IS_UP.search(self.console.read_bytes()) is not None

    def silence(self) -> float | None:
        """Seconds since the guest last printed on its console; None: it has printed nothing."""
        status = self.console.stat()
        return max(0.0, time.time() - status.st_mtime) if status.st_size else None

    def wait(self, timeout: float, cancel: CancelToken) -> None:
        """Wait until it does nothing any more, for so many seconds at most."""
        deadline = time.monotonic() + timeout
        while not self.stopped() and time.monotonic() < deadline:
            cancel.sleep(0.02)

    def adopt(self) -> None:
        """Take over a QEMU that another process has started for this machine, and let go.

        Raises:
            SourceError: it does not run any more.
        """
        self._process = Adopted(str(self.directory), self.directory / "pid")
        self._watch = Watch(self.console)
        if self._process.poll() is not None:
            raise SourceError(f"{self.id} was kept, but does not run any more")

    def let_go(self) -> None:
        """Have nothing to do with QEMU any more, which runs on."""
        self._process = None
        self._disconnect()

    def kill(self) -> None:
        """End QEMU, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._disconnect()

    def _disconnect(self) -> None:
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None


def _memory(shape: Shape, file: Path | None = None, *, shared: bool = False) -> list[str]:
    """The guest's memory, by one name wherever it is, so that any machine can resume another.

    In a file it is written to it, or a private copy page by page.
    """
    if shape.qemuargs:  # which may say how much there is
        return []
    backend = f"memory-backend-ram,id=memory,size={shape.memory}M"
    if file is not None:
        backend = f"memory-backend-file,id=memory,size={shape.memory}M,mem-path={escaped(file)}"
        backend += f",share={'on' if shared else 'off'}"
    return ["-object", backend, "-machine", "memory-backend=memory"]


def _file_has_memory(monitor: qmp.Monitor, has: bool) -> None:
    """Tell QEMU whether a state's memory is in the file, and not in what it writes or reads."""
    capability = {"capability": "x-ignore-shared", "state": has}
    monitor.execute("migrate-set-capabilities", capabilities=[capability])


def _migrate(monitor: qmp.Monitor, devices: Path) -> None:
    monitor.execute("migrate", uri=f"exec:cat >{shlex.quote(str(devices))}")
    while (status := monitor.execute("query-migrate")["status"]) != "completed":
        if status == "failed":
            raise SourceError("QEMU could not save the machine's state")
        time.sleep(0.02)


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
