"""A stock QEMU and a stock ssh: how somebody without the harness would use an image."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pycdlib

TIMEOUT = 300


class StockMachine:
    """An image booted by itself with a fresh NoCloud seed; the image is not changed."""

    def __init__(self, image: Path) -> None:
        self._image = image
        self._directory = Path(tempfile.mkdtemp())
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for name in ("user", "host"):
            self._run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._directory / name)
        self._write_seed()
        host_key = (self._directory / "host.pub").read_text()
        (self._directory / "known_hosts").write_text(f"[127.0.0.1]:{self._port} {host_key}")
        self._process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max"),
                *("-m", "1024", "-smp", "2", "-display", "none", "-snapshot"),
                *("-drive", f"file={self._image},if=virtio,format=qcow2"),
                # Debian's cloud kernel has no driver for an emulated CD-ROM.
                *("-drive", f"file={self._directory}/seed.iso,if=virtio,format=raw,readonly=on"),
                *("-nic", f"user,model=virtio,hostfwd=tcp:127.0.0.1:{self._port}-:22"),
            ]
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory)

    def ssh(self, command: str) -> str:
        done = self._try(command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _wait(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        # The seed's user data is in force once cloud-init says that it is done.
        while (done := self._try("cloud-init status --wait")).returncode:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.5)

    def _try(self, command: str) -> subprocess.CompletedProcess[str]:
        directory = self._directory
        return subprocess.run(
            [
                *("ssh", "-F", "none", "-i", str(directory / "user"), "-p", str(self._port)),
                *("-o", f"UserKnownHostsFile={directory / 'known_hosts'}"),
                *("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"),
                *("-o", "ConnectTimeout=10", "root@127.0.0.1", command),
            ],
            capture_output=True,
            text=True,
            check=False,
        )

    def _write_seed(self) -> None:
        user_data = {
            "disable_root": False,
            "users": [{"name": "root", "ssh_authorized_keys": [self._read("user.pub")]}],
            "ssh_keys": {
                "ed25519_private": self._read("host"),
                "ed25519_public": self._read("host.pub"),
            },
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

    def _read(self, name: str) -> str:
        return (self._directory / name).read_text()

    def _run(self, *command: str | Path) -> None:
        subprocess.run([str(word) for word in command], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
