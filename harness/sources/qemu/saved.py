"""Machines on disk: what it takes to go on where one was saved, and whose the new one is.

What a boot made only once (keys, clock, randomness) each resumed machine gets anew, before anybody
else may use it; what names a machine (its machine-id, say) the seal takes out of every image.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness import pins
from harness.errors import CommandError, SourceError
from harness.sources.qemu import access, disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.sources.base import Connection, Context
    from harness.sources.qemu.blueprint import Blueprint
    from harness.sources.qemu.child_process import Runner
    from harness.sources.qemu.vm import VirtualMachine
    from harness.ssh import Connection as Login

    LogIn = Callable[[VirtualMachine, access.Keys], Login]

TIMEOUT = 120.0
"""Seconds for each of our scripts on a machine."""

# 0x5207 is RNDRESEEDCRNG: without it the kernel goes on for up to a minute with the randomness
# that every other machine resumed from this state has, too. Programs are few: under emulation each
# start costs a twentieth of a second.
_AWAKE = """
set -e
umask 077
newline='
'
read -r listener </run/sshd.pid
# Whoever was logged in then is not there any more, which his server would not know for hours.
pid=$$ ours=
while [ "$pid" -gt 1 ]; do
  ours="$ours $pid "
  read -r stat </proc/$pid/stat
  set -- ${{stat##*) }}
  pid=$2
done
sessions=
{{ read -r sessions </proc/$listener/task/$listener/children; }} 2>/dev/null || true
for pid in $sessions; do
  case $ours in *" $pid "*) ;; *) kill "$pid" || true ;; esac
done
date -u -s @{now} >/dev/null &
clock=$!
printf %s '{randomness}' >/dev/urandom
if command -v perl >/dev/null; then
  perl -e 'open R, ">", "/dev/urandom" or die; ioctl R, 0x5207, 0 or die'
else
  python3 -c 'import fcntl; fcntl.ioctl(open("/dev/urandom", "w"), 0x5207)'
fi
wait $clock
{remove_host_keys}
printf %s '{host_private}' >/etc/ssh/ssh_host_ed25519_key
(umask 022; printf '%s\\n' '{host_public}' >/etc/ssh/ssh_host_ed25519_key.pub)
keys=~{username}/.ssh/authorized_keys others=
while IFS= read -r line || [ "$line" ]; do
  case $line in *'{old}'*) ;; *) others=$others$line$newline ;; esac
done <"$keys"
printf '%s%s\\n' "$others" '{public}' >"$keys"
kill -HUP "$listener"  # long after those sessions' end, which it would not hear of meanwhile
if [ -e /run/harness-timers ]; then
  read -r timers </run/harness-timers
  rm /run/harness-timers
  set -- /var/lib/systemd/timers/stamp-*
  [ ! -e "$1" ] || touch "$@"
  [ -z "$timers" ] || systemctl start --no-block $timers
fi
"""

_END = "end of the script"
_REMOVE_HOST_KEYS = "rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub"


@dataclass(frozen=True)
class State:
    """A saved machine: a folder in the cache."""

    directory: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def memory(self) -> Path:
        """The guest's memory; where there is no such file, it is among the devices."""
        return self.directory / "memory"

    @property
    def is_new(self) -> bool:
        """Whether nobody has provisioned it: other host keys than ours are nobody's."""
        return self.memory.exists()

    @property
    def devices(self) -> Path:
        return self.directory / "devices"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def keys(self) -> access.Keys:
        return access.Keys(**self._facts["keys"])

    @property
    def boots_itself(self) -> bool:
        """Whether it was started by its own boot loader."""
        boots: bool = self._facts["boots_itself"]
        return boots

    @property
    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.directory / "facts.json").read_text())
        return facts

    def describe(self, vm: VirtualMachine) -> None:
        """Write down what belongs to the machine beside its disk and memory."""
        facts = {"keys": asdict(vm.keys), "boots_itself": not vm.shape.boot}
        path = self.directory / "facts.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(facts))


@dataclass(frozen=True)
class Wakening:
    """How machines of one blueprint go on where others were saved.

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

    @property
    def digest(self) -> str:
        """Of what can go on where another was saved."""
        return self.blueprint.digest(self.accelerator)[:16]

    def resume(self, vm: VirtualMachine, state: State) -> Login:
        """Start a machine where another was saved, and make it one of its own.

        Raises:
            SourceError: it does not run; what was saved is thrown away.
        """
        try:
            return self._resume(vm, state)
        except (SourceError, CommandError, OSError, ValueError, LookupError, TypeError) as error:
            vm.kill()
            vm.disk.unlink(missing_ok=True)
            self.context.pins.release(state.directory)
            pins.discard(state.directory)
            raise SourceError(f"the saved machine did not resume: {error}") from error

    def as_root(self, connection: Connection, purpose: str, script: str) -> None:
        if self.blueprint.username != "root":
            script = f"sudo -n /bin/sh <<'{_END}'\n{script}\n{_END}"
        result = connection.execute(purpose, script=script, timeout=TIMEOUT)
        if result.failed:
            raise CommandError(purpose, result)

    def _resume(self, vm: VirtualMachine, state: State) -> Login:
        self.context.pins.keep(state.directory)
        disk.create_overlay(self.run, state.disk, "qcow2", vm.disk, None)
        shutil.copyfile(state.console, vm.console)
        vm.resume(self.accelerator, state)
        connection = self.log_in(vm, state.keys)
        try:
            self.as_root(connection, "making the machine its own", self._awake(vm, state))
        except BaseException:
            connection.close()
            raise
        connection.rekey(vm.keys.private, vm.keys.host_public)
        return connection

    def _awake(self, vm: VirtualMachine, state: State) -> str:
        return _AWAKE.format(
            remove_host_keys=_REMOVE_HOST_KEYS if state.is_new else "",
            now=f"{time.time():.3f}",
            randomness=secrets.token_hex(64),
            host_private=vm.keys.host_private,
            host_public=vm.keys.host_public,
            username=self.blueprint.username,
            old=state.keys.public.split()[1],
            public=vm.keys.public,
        )
