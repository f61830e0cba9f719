"""How a machine learns our key and the host key that we pin, before it has any connection.

Our own recipes read systemd credentials, which cost nothing; anybody else's cloud image has
cloud-init, which reads a NoCloud seed.
"""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness import keys, users
from harness.errors import SourceError
from harness.sources.qemu import media
from harness.sources.qemu.disk import escaped

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sources.base import Connection


@dataclass(frozen=True)
class Keys:
    """One machine's keys. They live in memory, and as long as the machine does.

    ``private`` and ``public`` are empty where somebody else's key or password lets us in.
    """

    private: str = field(repr=False)
    public: str
    host_private: str = field(repr=False)
    host_public: str

    @classmethod
    def generate(cls, own: tuple[str, str]) -> Keys:
        return cls(*own, *keys.generate_key())


NO_KEYS = Keys("", "", "", "")


# The seal takes both: what it leaves is nobody's. The server reads host keys at each login.
_REOPEN = """
set -e
umask 077
printf %s {host_private} >/etc/ssh/ssh_host_ed25519_key
home=$(getent passwd {username} | cut -d: -f6)
mkdir -p "$home/.ssh"
printf '%s\\n' {public} >>"$home/.ssh/authorized_keys"
chown {username}: "$home/.ssh" "$home/.ssh/authorized_keys"
"""


def reopen(connection: Connection, own: Keys, username: str) -> None:
    """Let the machine's keys in again, once it was sealed.

    Raises:
        SourceError: the machine does not do as it is told.
    """
    facts = {"host_private": own.host_private, "public": own.public, "username": username}
    script = _REOPEN.format(**{name: shlex.quote(value) for name, value in facts.items()})
    result = users.commands(connection, True, username).run("let us in again", text=script)
    if result.failed:
        raise SourceError(f"the sealed machine lets nobody in: {result.stderr.strip()}")


def credentials(own: Keys, directory: Path) -> list[str]:
    """QEMU's arguments for a guest that reads systemd credentials (root's key only)."""
    values = {
        "ssh.authorized_keys.root": own.public,
        "ssh.host_ed25519_key": own.host_private,
    }
    arguments = []
    for name, value in values.items():
        if not value:
            continue
        encoded = base64.b64encode(value.encode()).decode()
        # A file, since everybody can read a command line.
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(f"io.systemd.credential.binary:{name}={encoded}")
        arguments += ["-smbios", f"type=11,path={escaped(path)}"]
    return arguments


def nocloud(
    own: Keys, username: str, instance_id: str, user_data: str, directory: Path
) -> list[str]:
    """QEMU's arguments for a guest with cloud-init: a seed disk, ``user_data`` in it too."""
    from harness.user_data import Login, compose

    login = Login(username, own.public, own.host_private, own.host_public)
    metadata = {"instance-id": instance_id}  # no name: the base has one, or the build sets it
    files = {
        "user-data": compose(login, user_data).encode(),
        "meta-data": json.dumps(metadata).encode(),
    }
    return media.Disc(media.SEED_LABEL, files).write(directory / "seed.iso")
