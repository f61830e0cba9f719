"""A stock QEMU and a stock ssh: how somebody without the harness would use an image."""

from __future__ import annotations

import base64
import functools
import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pycdlib

from harness.model import Endpoint

TIMEOUT = 300


class StockMachine:
    """An image booted by itself; the image is not changed.

    Args:
        image: a file whose name ends in its format.
        seed: let root's key in by a NoCloud seed; else by a systemd credential, without cloud-init.
    """

    def __init__(self, image: Path, *, seed: bool = True) -> None:
        self._image = image
        self._seed = seed
        self._directory = Path(tempfile.mkdtemp())
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        key = str(self._directory / "user")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        access = self._nocloud() if self._seed else self._credential()
        self._process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max"),
                *("-m", "1024", "-smp", "2", "-display", "none", "-snapshot"),
                *("-drive", f"file={self._image},if=virtio,format={self._image.suffix[1:]}"),
                *access,
                *("-nic", f"user,model=virtio,hostfwd=tcp:127.0.0.1:{self._port}-:22"),
            ]
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory)

    def ssh(self, command: str) -> str:
        """Run a command; the first waits until the machine is there."""
        assert self._is_up
        done = self._try(command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def endpoint(self) -> Endpoint:
        """How the harness would reach it."""
        host_key = self.ssh("cat /etc/ssh/ssh_host_ed25519_key.pub")
        return Endpoint("127.0.0.1", self._port, "root", self._read("user"), host_key)

    @functools.cached_property
    def _is_up(self) -> bool:
        deadline = time.monotonic() + TIMEOUT
        # The seed's user data is in force once cloud-init says that it is done.
        command = "cloud-init status --wait" if self._seed else "true"
        while (done := self._try(command)).returncode:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.5)
        return True

    def _try(self, command: str) -> subprocess.CompletedProcess[str]:
        directory = self._directory
        return subprocess.run(
            [
                *("ssh", "-F", "none", "-i", str(directory / "user"), "-p", str(self._port)),
                *("-o", f"UserKnownHostsFile={directory / 'known_hosts'}"),
                *("-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes"),
                *("-o", "ConnectTimeout=10", "root@127.0.0.1", command),
            ],
            capture_output=True,
            text=True,
            check=False,
        )

    def _credential(self) -> list[str]:
        key = base64.b64encode((self._directory / "user.pub").read_bytes()).decode()
        name = "io.systemd.credential.binary:ssh.authorized_keys.root"
        return ["-smbios", f"type=11,value={name}={key}"]

    def _nocloud(self) -> list[str]:
        user_data = {
            "disable_root": False,
            "users": [{"name": "root", "ssh_authorized_keys": [self._read("user.pub")]}],
            "ssh_genkeytypes": ["ed25519"],  # an RSA key takes an emulated machine many seconds
        }
        iso = pycdlib.PyCdlib()
        iso.new(joliet=3, vol_ident="cidata")
        seed = {
            "user-data": "#cloud-config\n" + json.dumps(user_data),
            "meta-data": '{"instance-id": "stock-1"}',
        }
        for number, (name, text) in enumerate(seed.items()):
            (self._directory / name).write_text(text)
            iso.add_file(str(self._directory / name), f"/FILE{number}.;1", joliet_path=f"/{name}")
        iso.write(str(self._directory / "seed.iso"))
        iso.close()
        # Debian's cloud kernel has no driver for an emulated CD-ROM.
        return ["-drive", f"file={self._directory}/seed.iso,if=virtio,format=raw,readonly=on"]

    def _read(self, name: str) -> str:
        return (self._directory / name).read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
