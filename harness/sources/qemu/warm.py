"""Warm boot: a machine is booted once and saved when it has settled; later ones resume it.

Of the guest's memory every resumed machine sees a private copy, and reads only the pages that it
touches.

Memory is kept as it is, with holes for zeros (1 GiB of it takes 192 MiB of disk, 222 without those
made here), since compressed it would take longer to resume: `python benchmarks/memory_state.py
--runs 7`, ways in turn on two busy cores under emulation, seconds until the machine is ready:

            on disk   not in the page cache       there from the time before
    as is   186 MiB   4.2 at best, median 7.8     2.8 at best, median 6.6
    zstd     60 MiB   4.7              8.3        4.7              7.9
    lz4      84 MiB   4.8             10.6        4.4              9.5
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import cache, cloud_init, console, keys
from harness.errors import CommandError, CommandTimeoutError, SourceError
from harness.events import ConsoleRead, Notice
from harness.sources.qemu import access, disk, workshop
from harness.sources.qemu.saved import State

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sources.qemu.saved import Wakening
    from harness.sources.qemu.vm import VirtualMachine
    from harness.ssh import Connection

# Fails where a resumed guest's kernel could not be told to draw fresh randomness, or its server to
# use another host key. Timers wait until the clock is right: all of them would be due at once.
_SETTLE = """
set -e
command -v perl >/dev/null || command -v python3 >/dev/null
kill -0 "$(cat /run/sshd.pid)"
command -v systemctl >/dev/null || exit 0
systemctl is-system-running --wait >/dev/null || true
timers=$(systemctl list-units --type=timer --state=active --plain --no-legend | cut -d' ' -f1)
[ -z "$timers" ] || systemctl stop $timers
echo $timers >/run/harness-timers
"""


@dataclass(frozen=True)
class Warmer:
    """Resumes machines where one like them had booted to; saves that one first, if need be."""

    wakening: Wakening

    def start(self, vm: VirtualMachine) -> Connection | None:
        """Start the machine from a saved one, which is made first if there is none yet.

        None: this cannot be, as has been said in an event, and the machine is not started.

        Raises:
            ConnectError: the machine that was to be saved did not let us in.
        """
        state = self._state()
        if state is None:
            return None
        try:
            return self.wakening.resume(vm, state)
        except SourceError as error:
            self._say(f"booting a new one: {error}")
            return None

    def _state(self) -> State | None:
        name = self.wakening.digest
        state = State(cache.directory() / "states" / name)
        if cache.recall(f"cold-{name}"):
            return None
        try:
            with self._saving(state):
                self.wakening.context.pins.entry(
                    state.directory,
                    self.wakening.context.cancel,
                    self._make,
                    name=self._described(),
                    needs=[self.wakening.blueprint.base.path],
                )
        except _CannotBeSavedError as error:
            cache.remember(f"cold-{name}", str(error))
            self._say(f"this machine cannot be saved, so each boots anew: {error}")
            return None
        return state

    def _described(self) -> str:
        blueprint = self.wakening.blueprint
        machine = f"{blueprint.shape.memory} MiB, {blueprint.shape.cpus} CPUs"
        return f"{blueprint.base.name}, {machine}, {self.wakening.accelerator}"

    def _saving(self, state: State) -> contextlib.AbstractContextManager[None]:
        """A stage of its own where there is something to save, or to wait for."""
        there = state.directory.exists()
        return contextlib.nullcontext() if there else self.wakening.context.stopwatch.stage("save")

    def _make(self, partial: Path) -> None:
        self._say("booting and saving the machine, once: later builds resume it")
        with workshop.beside(partial, self.wakening.context) as work:
            made = work / "made"
            made.mkdir(mode=0o700)
            own = access.Keys.generate(keys.generate_key())
            vm = self.wakening.blueprint.machine(f"warm-{secrets.token_hex(4)}", made, own)
            vm.memory_file, vm.pins = State(made).memory, self.wakening.context.pins
            self.wakening.blueprint.give_disks(vm, self.wakening.run)
            try:
                vm.start(self.wakening.accelerator)
                with console.shown(functools.partial(self._read_console, vm)):
                    self._settle(vm)
                self._save(vm, State(made))
            finally:
                vm.kill()
            made.replace(partial)

    def _read_console(self, vm: VirtualMachine) -> bytes:
        data = vm.console.read_bytes()
        self.wakening.context.events.emit(ConsoleRead(self.wakening.context.build, data))
        return data

    def _settle(self, vm: VirtualMachine) -> None:
        connection = self.wakening.log_in(vm, vm.keys)
        try:
            cloud_init.wait(connection, self.wakening.context.build)
            self.wakening.as_root(connection, "preparing the machine to be saved", _SETTLE)
        except (CommandError, CommandTimeoutError) as error:
            raise _CannotBeSavedError(str(error)) from error
        finally:
            connection.close()

    def _save(self, vm: VirtualMachine, state: State) -> None:
        try:
            vm.save(state.devices)
        except SourceError as error:
            raise _CannotBeSavedError(str(error)) from error
        disk.make_sparse(self.wakening.run, state.memory)
        state.describe(vm)
        for path in state.directory.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())

    def _say(self, text: str) -> None:
        self.wakening.context.events.emit(
            Notice(self.wakening.context.build, text.replace("\n", " "))
        )


class _CannotBeSavedError(SourceError):
    """Another attempt would end the same way."""
