"""What building leaves in a machine, and its removal before the image is taken.

Each step is a piece of POSIX shell that runs as root and succeeds where there is nothing to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.machine import Machine

STEPS: Mapping[str, str] = {
    "host keys": "rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub",
    "cloud-init": "if command -v cloud-init >/dev/null 2>&1; then\n"
    "  rm -rf /var/lib/cloud/* /run/cloud-init/result.json\n"
    "fi",
    # journald's are kept by machine id, and nobody could read an emptied one.
    "logs": "rm -rf /var/log/journal/*\nfind /var/log -type f -exec truncate -s 0 {} +",
    "dhcp leases": "rm -f /var/lib/dhcp/*.leases /var/lib/NetworkManager/*.lease"
    " /run/systemd/netif/leases/*",
    "random seed": "rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret",
    "shell history": "rm -f /root/.bash_history /home/*/.bash_history",
    # Empty, not missing: systemd then makes a new one at the first boot.
    "machine id": "if [ -e /etc/machine-id ]; then : >/etc/machine-id; fi\n"
    "if [ ! -L /var/lib/dbus/machine-id ]; then rm -f /var/lib/dbus/machine-id; fi",
}


def seal(machine: Machine, public_key: str) -> None:
    """Remove our key, where there is one, and every trace of this machine's identity."""
    key = [_remove_key(public_key)] if public_key else []
    machine.shell(*key, *STEPS.values(), sudo=True)


def _remove_key(public_key: str) -> str:
    """Take one line out of whatever authorized_keys has it; a file that held no other goes."""
    blob = public_key.split()[1]
    return (
        "for f in /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys; do\n"
        f'  if [ -f "$f" ] && grep -qF \'{blob}\' "$f"; then\n'
        # Written over, not replaced: owner and mode stay as they are.
        f"    kept=$(grep -vF '{blob}' \"$f\" || true)\n"
        '    if [ -n "$kept" ]; then printf "%s\\n" "$kept" >"$f"; else rm -f "$f"; fi\n'
        "  fi\n"
        "done"
    )
