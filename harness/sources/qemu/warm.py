"""Warm boot: a machine is booted once and saved when it has settled; later ones resume it.

A state is a folder in the cache: the disk; the guest's memory, of which every resumed machine sees
a private copy and reads only the pages that it touches; the devices; the keys that let us in. What
a boot made only once (keys, clock, randomness) each resumed machine gets anew, before anybody else
may use it; what names a machine (its machine-id, say) the seal takes out of every image anyway.

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
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from harness import cache, cloud_init, console, keys, pins
from harness.errors import CommandError, CommandTimeoutError, SourceError
from harness.events import ConsoleRead, Notice
from harness.sources.qemu import access, disk, workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.sources.base import Context
    from harness.sources.qemu.blueprint import Blueprint
    from harness.sources.qemu.child_process import Runner
    from harness.sources.qemu.vm import VirtualMachine
    from harness.ssh import Connection

    LogIn = Callable[[VirtualMachine, access.Keys], Connection]

TIMEOUT = 120.0
"""Seconds for each of the scripts below."""

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

# 0x5207 is RNDRESEEDCRNG: without it the kernel goes on for up to a minute with the randomness
# that every other machine resumed from this state has, too.
_AWAKE = """
set -e
umask 077
date -u -s @{now} >/dev/null
printf %s '{randomness}' >/dev/urandom
if command -v perl >/dev/null; then
  perl -e 'open R, ">", "/dev/urandom" or die; ioctl R, 0x5207, 0 or die'
else
  python3 -c 'import fcntl; fcntl.ioctl(open("/dev/urandom", "w"), 0x5207)'
fi
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
printf %s '{host_private}' >/etc/ssh/ssh_host_ed25519_key
printf '%s\\n' '{host_public}' >/etc/ssh/ssh_host_ed25519_key.pub
chmod 644 /etc/ssh/ssh_host_ed25519_key.pub
kill -HUP "$(cat /run/sshd.pid)"
keys=~{username}/.ssh/authorized_keys
others=$(grep -vF '{old}' "$keys" || true)
{{ [ -z "$others" ] || printf '%s\\n' "$others"; printf '%s\\n' '{public}'; }} >"$keys"
timers=$(cat /run/harness-timers 2>/dev/null || true)
rm -f /run/harness-timers
[ -z "$timers" ] || {{
  for stamp in /var/lib/systemd/timers/stamp-*; do [ ! -e "$stamp" ] || touch "$stamp"; done
  systemctl start --no-block $timers
}}
"""


@dataclass(frozen=True)
class State:
    """A saved machine."""

    directory: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def memory(self) -> Path:
        return self.directory / "memory"

    @property
    def devices(self) -> Path:
        return self.directory / "devices"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def keys(self) -> access.Keys:
        return access.Keys(**json.loads((self.directory / "keys.json").read_text()))


@dataclass(frozen=True)
class Warmer:
    """Saves and resumes machines of one blueprint, for one build.

    Args:
        blueprint: what they are made of.
        accelerator: what they run under.
        log_in: waits for a machine and logs in, with these keys.
        run: runs qemu-img.
        context: the build's.
    """

    blueprint: Blueprint
    accelerator: str
    log_in: LogIn
    run: Runner
    context: Context

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
            return self._resume(vm, state)
        except (SourceError, CommandError, ConnectionError, TimeoutError) as error:
            vm.kill()
            vm.disk.unlink(missing_ok=True)
            self.context.pins.release(state.directory)
            pins.discard(state.directory)
            self._say(f"the saved machine did not resume, booting a new one: {error}")
            return None

    def _state(self) -> State | None:
        name = self.blueprint.digest(self.accelerator)[:16]
        state = State(cache.directory() / "states" / name)
        if cache.recall(f"cold-{name}"):
            return None
        try:
            with self._saving(state):
                self.context.pins.entry(
                    state.directory,
                    self.context.cancel,
                    self._make,
                    name=self._described(),
                    needs=[self.blueprint.base.path],
                )
        except _CannotBeSavedError as error:
            cache.remember(f"cold-{name}", str(error))
            self._say(f"this machine cannot be saved, so each boots anew: {error}")
            return None
        return state

    def _described(self) -> str:
        shape = self.blueprint.shape
        machine = f"{shape.memory} MiB, {shape.cpus} CPUs, {self.accelerator}"
        return f"{self.blueprint.base.name}, {machine}"

    def _saving(self, state: State) -> contextlib.AbstractContextManager[None]:
        """A stage of its own where there is something to save, or to wait for."""
        there = state.directory.exists()
        return contextlib.nullcontext() if there else self.context.stopwatch.stage("save")

    def _make(self, partial: Path) -> None:
        self._say("booting and saving the machine, once: later builds resume it")
        with workshop.beside(partial, self.context) as work:
            made = work / "made"
            made.mkdir(mode=0o700)
            own = access.Keys.generate(keys.generate_key())
            vm = self.blueprint.machine(f"warm-{secrets.token_hex(4)}", made, own)
            vm.memory_file, vm.pins = State(made).memory, self.context.pins
            self.blueprint.give_disks(vm, self.run)
            try:
                vm.start(self.accelerator)
                with console.shown(functools.partial(self._read_console, vm)):
                    self._settle(vm)
                self._save(vm, State(made))
            finally:
                vm.kill()
            made.replace(partial)

    def _read_console(self, vm: VirtualMachine) -> bytes:
        data = vm.console.read_bytes()
        self.context.events.emit(ConsoleRead(self.context.build, data))
        return data

    def _settle(self, vm: VirtualMachine) -> None:
        connection = self.log_in(vm, vm.keys)
        try:
            cloud_init.wait(connection, self.context.build)
            self._as_root(connection, "preparing the machine to be saved", _SETTLE)
        except (CommandError, CommandTimeoutError) as error:
            raise _CannotBeSavedError(str(error)) from error
        finally:
            connection.close()

    def _save(self, vm: VirtualMachine, state: State) -> None:
        try:
            vm.save(state.devices)
        except SourceError as error:
            raise _CannotBeSavedError(str(error)) from error
        disk.make_sparse(self.run, state.memory)
        (state.directory / "keys.json").touch(mode=0o600)
        (state.directory / "keys.json").write_text(json.dumps(asdict(vm.keys)))
        for path in state.directory.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())

    def _resume(self, vm: VirtualMachine, state: State) -> Connection:
        disk.create_overlay(self.run, state.disk, "qcow2", vm.disk, None)
        vm.resume(self.accelerator, state.memory, state.devices, state.console)
        connection = self.log_in(vm, state.keys)
        try:
            self._as_root(connection, "making the machine its own", self._awake(vm, state))
        except BaseException:
            connection.close()
            raise
        connection.rekey(vm.keys.private, vm.keys.host_public)
        return connection

    def _awake(self, vm: VirtualMachine, state: State) -> str:
        return _AWAKE.format(
            now=f"{time.time():.3f}",
            randomness=secrets.token_hex(64),
            host_private=vm.keys.host_private,
            host_public=vm.keys.host_public,
            username=self.blueprint.username,
            old=state.keys.public.split()[1],
            public=vm.keys.public,
        )

    def _as_root(self, connection: Connection, purpose: str, script: str) -> None:
        shell = "/bin/sh" if self.blueprint.username == "root" else "sudo -n /bin/sh"
        result = connection.run(shell, stdin=[script.encode()], timeout=TIMEOUT)
        if result.failed:
            raise CommandError(purpose, result)

    def _say(self, text: str) -> None:
        self.context.events.emit(Notice(self.context.build, text.replace("\n", " ")))


class _CannotBeSavedError(SourceError):
    """Another attempt would end the same way."""
