"""How a machine learns our key and the host key that we pin, before it has any connection.

Our own recipes read systemd credentials, which cost nothing; anybody else's cloud image has
cloud-init, which reads a NoCloud seed.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness import cloud_init, keys
from harness.sources.qemu.disk import escaped

if TYPE_CHECKING:
    from pathlib import Path


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


def nocloud(own: Keys, username: str, instance_id: str, directory: Path) -> list[str]:
    """QEMU's arguments for a guest with cloud-init: a seed disk."""
    import pycdlib

    user_data = cloud_init.user_data(username, own.public, own.host_private, own.host_public)
    files = {
        "user-data": user_data,
        "meta-data": json.dumps({"instance-id": instance_id, "local-hostname": "localhost"}),
    }
    iso = pycdlib.PyCdlib()
    iso.new(joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, text) in enumerate(files.items()):
        data = text.encode()
        iso.add_fp(
            io.BytesIO(data),
            len(data),
            f"/FILE{number}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    path = directory / "seed.iso"
    path.touch(mode=0o600)
    iso.write(str(path))
    iso.close()
    return ["-drive", f"file={escaped(path)},if=virtio,format=raw,readonly=on"]
