"""What building leaves in a machine, and its removal before the image is taken.

The machine goes on running: nothing here takes away what an open connection or a test needs. But
without host keys the SSH server lets nobody in any more.
"""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from harness.machine import Machine

MARK = "# seal: "
"""What the seal says before each step, so that logs and errors name it."""


class Step(NamedTuple):
    """Shell to run as root, paths to remove, and shell to run when all steps have come so far.

    One process removes what all steps name: under emulation each costs more than the removing.
    Other programs of different steps, which mostly wait for a service, run side by side before.
    """

    run: str = ""
    remove: str = ""
    after: str = ""
    meanwhile: str = ""


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        # One line out of whatever file has it. Written over, not replaced: owner and mode stay.
        # What is empty then goes with all else that is removed.
        "temporary key": Step("""
            set --
            newline='
            '
            while IFS=: read -r _ _ _ _ _ home _; do
              keys=$home/.ssh/authorized_keys kept= found=
              [ -f "$keys" ] || continue
              while IFS= read -r line || [ "$line" ]; do
                case $line in *'@key'*) found=1 ;; *) kept=$kept$line$newline ;; esac
              done <"$keys"
              [ "$found" ] || continue
              printf %s "$kept" >"$keys"
              [ "$kept" ] || set -- "$@" "$keys"
            done </etc/passwd
        """),
        # The harness's own, of calls that were cut off; the rest of /tmp is provisioning's.
        "temporary files": Step(
            remove="""
            /tmp/harness-????????????????* /tmp/harness.??????????
            /var/tmp/harness-????????????????* /var/tmp/harness.??????????
            /dev/shm/harness-????????????????* /run/harness-????????????????*
            /run/user/*/harness-????????????????*
            """  # the long-lived shell's folder in memory stays: this may run in it
        ),
        "host keys": Step(remove="/etc/ssh/ssh_host_*_key*"),
        # Its memory of this machine, user data included, and the network configuration that it
        # wrote, which names this machine's network card. Other scripts in its folder stay.
        "cloud-init": Step(
            remove="""
            /var/lib/cloud/data /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/sem
            /var/lib/cloud/scripts/vendor/*
            /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init*
            /etc/systemd/network/10-cloud-init-*.network
            /etc/NetworkManager/system-connections/cloud-init-*.nmconnection
            /etc/udev/rules.d/70-persistent-net.rules
            """
        ),
        "cloud-init seed": Step(remove="/var/lib/cloud/seed/*"),
        # apt's lists have an underscore in their names; its lock and its folders, which stay, none.
        "package caches": Step(
            remove="""
            /var/lib/apt/lists/*_* /var/lib/apt/lists/partial/* /var/cache/apt/*.bin
            /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*
            /var/cache/dnf/* /var/cache/libdnf5/* /var/cache/yum/*
            """
        ),
        "shell history": Step(remove="/root/.*_history /home/*/.*_history /var/lib/*/.*_history"),
        "dhcp leases": Step(
            remove="""
            /var/lib/dhcp/*.leases /var/lib/dhclient/* /var/lib/dhcpcd/*
            /var/lib/NetworkManager/*.lease
            """
        ),
        # systemd saves a seed when it shuts down, unless this service is over by then.
        "random seed": Step(
            meanwhile="""
            if [ -d /run/systemd/system ]; then systemctl stop systemd-random-seed.service; fi
            """,
            remove="""
            /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
            /boot/loader/random-seed /boot/efi/loader/random-seed /var/lib/NetworkManager/secret_key
            """,
        ),
        "timers": Step(remove="/var/lib/systemd/timers/stamp-*"),
        # journald has a folder named after the machine id, and would make it anew until the very
        # end: it goes on in /run. Any other log keeps its file, which a service may hold open.
        "logs": Step(
            "find /var/log -path /var/log/journal -prune -o -type f -exec truncate -s 0 {} +",
            "/var/log/journal/*",
            meanwhile="if command -v journalctl >/dev/null; then journalctl --relinquish-var; fi",
        ),
        # Empty, not missing: systemd then makes a new one at the first boot.
        "machine id": Step("""
            if [ -e /etc/machine-id ]; then : >/etc/machine-id; fi
            if [ ! -L /var/lib/dbus/machine-id ]; then rm -f /var/lib/dbus/machine-id; fi
        """),
        # Only what the disk has been told is free can be left out of the image.
        "free blocks": Step(
            after="if command -v fstrim >/dev/null; then sync; fstrim -a || true; fi"
        ),
    }
)


@dataclass(frozen=True)
class Seal:
    """What is removed from a machine, on every source, before its image is taken.

    The steps: ``temporary key`` (the one that let the harness in), ``temporary files`` (the
    harness's own), ``host keys``, ``cloud-init`` (its state and the network configuration that it
    wrote), ``cloud-init seed`` (one that lies on the disk), ``package caches`` (of apt and dnf),
    ``shell history``, ``dhcp leases``, ``random seed``, ``timers`` (when systemd's last ran),
    ``logs`` (journals go, other files are emptied), ``machine id``, ``free blocks`` (discarded).

    An account that the harness's own seed made for ``ssh_username`` stays, since provisioning may
    have worked in its home: it has no password, and without its key nobody can log in.

    All of it may take 3600 seconds.

    Args:
        keep: steps to leave out, by name.
        also: shell commands of yours, run as root before the steps.

    Example:
        ```python
        @harness.build(
            harness.Qemu(base="debian-12"),
            seal=harness.Seal(keep=["package caches"], also=["rm -f /etc/agent/id"]),
        )
        ```
    """

    keep: Collection[str] = ()
    also: Collection[str] = ()

    def problems(self) -> Iterator[str]:
        """What is wrong with it, a sentence each."""
        for option in ("keep", "also"):
            value = getattr(self, option)
            if isinstance(value, str):
                yield f"{option}={value!r} is one text: write a list, {option}=[{value!r}]"
                return
        for name in self.keep:
            if name not in STEPS:
                yield f"keep={name!r}, which is no step: choose from {', '.join(STEPS)}"

    def commands(self, public_key: str) -> list[str]:
        """What the machine's shell is given.

        Args:
            public_key: the line that let us in; empty: other means did, and stay.
        """
        blob = public_key.split()[1] if public_key else ""
        left_out = {*self.keep, *(() if blob else ["temporary key"])}
        steps = {name: step for name, step in STEPS.items() if name not in left_out}
        paths = " ".join(path for step in steps.values() for path in step.remove.split())
        return [
            *(_command(command, command) for command in self.also),
            *(_command(n, _aside(s.meanwhile)) for n, s in steps.items() if s.meanwhile),
            *(_command(n, s.run.replace("@key", blob)) for n, s in steps.items() if s.run),
            *(["wait"] if any(s.meanwhile for s in steps.values()) else []),
            *([_command("remove", f'rm -rf {paths} "$@"')] if paths else []),
            *(_command(n, s.after) for n, s in steps.items() if s.after),
        ]


def seal(machine: Machine, public_key: str, chosen: Seal) -> None:
    """Remove our key and every trace of this machine's identity."""
    commands = chosen.commands(public_key)
    if not commands:
        return
    # No `machine.shell`, whose script would be a file: three programs more.
    result = machine.run("\n".join(["set -e", *commands]), sudo=True)
    if result.failed:
        said = [line for line in result.stdout.splitlines() if line.startswith(MARK)]
        step = said[-1].removeprefix(MARK) if said else "its script"
        raise CommandError(f"the seal: {step}", result)


def _aside(text: str) -> str:
    """Shell that is not waited for, and may fail."""
    return f"{{\n{textwrap.dedent(text).strip()}\n}} &"


def _command(name: str, text: str) -> str:
    return f"echo {shlex.quote(MARK + name)}\n{textwrap.dedent(text).strip()}"
