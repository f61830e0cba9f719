"""cloud-init, seen from outside: the seed that lets us in, and the wait until it is done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.errors import SourceError

if TYPE_CHECKING:
    from harness.sources.base import Connection

# cloud-init's own `status --wait` starts Python, seconds under emulation: its files tell as much.
_WAIT = """
command -v cloud-init >/dev/null 2>&1 || exit 0
[ ! -e /run/cloud-init/disabled ] && [ ! -e /etc/cloud/cloud-init.disabled ] || exit 0
[ -d /run/cloud-init ] || exit 0
until [ -e /run/cloud-init/result.json ]; do sleep 0.2; done
cat /run/cloud-init/result.json
"""


def wait(connection: Connection, build: str, *, timeout: float = 600) -> None:
    """Wait until cloud-init is done, where the machine has it and it is not disabled.

    Args:
        connection: the machine's.
        build: its name, for messages.
        timeout: seconds, 600 by default.

    Raises:
        SourceError: cloud-init ended with errors.
        CommandTimeoutError: it is not done in time.
    """
    answer = connection.run(_WAIT, timeout=timeout).stdout
    errors = json.loads(answer)["v1"]["errors"] if answer.strip() else []
    if errors:
        raise SourceError(
            f"{build}: cloud-init ended with errors: {'; '.join(map(str, errors))} "
            "(on the machine, /var/log/cloud-init.log has the story)"
        )


def user_data(username: str, public_key: str, host_private: str, host_public: str) -> str:
    """The cloud-config that plants our key for the user, and the host key that we pin.

    No public key: the user is let in by other means, and keeps them.
    """
    config = {
        "users": _users(username, public_key),
        "disable_root": username != "root",
        "preserve_hostname": True,  # the base has one, or the build sets it
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_private, "ed25519_public": host_public},
    }
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"  # JSON is YAML


def _users(name: str, public_key: str) -> list[object]:
    authorized = [public_key] if public_key else []
    if name == "root":  # and no default user, who would stay in the image
        return [{"name": "root", "lock_passwd": False, "ssh_authorized_keys": authorized}]
    user = {
        "name": name,
        "ssh_authorized_keys": authorized,
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "shell": "/bin/bash",
        "lock_passwd": bool(public_key),
    }
    return ["default", user]
