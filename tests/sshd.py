"""A real OpenSSH server on a loopback port, for tests."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.model import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

# sshd takes the first value that it reads of each option.
_CONFIG = """
{options}
ListenAddress {address}
Port {port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile {directory}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
SetEnv HOME={directory}/home {environment}
"""


@dataclass
class Sshd:
    """A server with a host key and a user key of its own; not running until `start`."""

    directory: Path
    port: int
    options: str = ""
    environment: str = ""
    wrapper: tuple[str, ...] = ()
    """The start of the server's command line."""
    address: str = "127.0.0.1"
    _server: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def make(cls, directory: Path, options: str = "", environment: str = "") -> Sshd:
        """Its keys, and a home that is nobody's."""
        for name in ("host_key", "user_key"):
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
            subprocess.run(keygen, check=True)
        (directory / "home").mkdir()  # start-up files of the person who runs the tests stay out
        server = cls(directory, free_port(), options, environment)
        server.authorize()
        return server

    def authorize(self) -> None:
        """Let the user key in."""
        shutil.copy(self.directory / "user_key.pub", self.directory / "authorized_keys")

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(
            self.address,
            self.port,
            getpass.getuser(),
            (self.directory / "user_key").read_text(),
            (self.directory / "host_key.pub").read_text(),
        )

    def start(self) -> None:
        assert SSHD is not None
        config = self.directory / "config"
        config.write_text(
            _CONFIG.format(
                options=self.options,
                address=self.address,
                port=self.port,
                directory=self.directory,
                environment=self.environment,
            )
        )
        log = self.directory / "log"
        command = [*self.wrapper, SSHD, "-D", "-f", str(config), "-E", str(log)]
        self._server = subprocess.Popen(command, start_new_session=True)
        while not _listens(self.address, self.port):
            assert self._server.poll() is None, log.read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server and all its sessions, and then what runs in them."""
        if self._server is None:
            return
        for pid in [self._server.pid, *reversed(_descendants(self._server.pid))]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)
        self._server.wait()
        self._server = None

    def stop_listening(self) -> None:
        """End the server as a restart does: its sessions go on."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()
        self._server = None

    def drop_sessions(self) -> None:
        """Cut all connections; the server goes on."""
        assert self._server is not None
        for pid in _children(self._server.pid):
            for session in [*_children(pid), pid]:
                if b"sshd" in _command_line(session):
                    os.kill(session, 9)


@contextlib.contextmanager
def running(
    directory: Path,
    options: str = "",
    environment: str = "",
    accounts: Mapping[str, str] | None = None,
    *,
    address: str = "127.0.0.1",
    wrapper: tuple[str, ...] = (),
) -> Iterator[Sshd]:
    """A running server.

    Args:
        directory: an empty one, for its keys, configuration and log; where there are ``accounts``,
            one that others may enter.
        options: lines for sshd_config that come first.
        environment: ``NAME=value …`` for its sessions.
        accounts: users that exist for this server only, and their shells; their password is
            `PASSWORD`, and sudo asks them for none.
        address: where it listens.
        wrapper: the start of its command line, if it needs no ``accounts``.
    """
    if SSHD is None:
        pytest.skip("needs OpenSSH's sshd")
    if os.getuid() == 0:  # where it puts away its privileges
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = Sshd.make(directory, options, environment)
    server.address, server.wrapper = address, wrapper
    if accounts:
        server.wrapper = _with_accounts(directory, accounts)
    try:
        server.start()
        yield server
    finally:
        server.stop()


PASSWORD = "open-sesame"
_HASH = "$5$harness$fey09SARi.RLjJbWU2avoUWcufCxZp7paUjB5yE2CRC"
_FIRST_UID = 60_101
_FILES = ("passwd", "shadow", "sudoers")


def _with_accounts(directory: Path, accounts: Mapping[str, str]) -> tuple[str, ...]:
    """Start a program that sees further users: what it mounts over /etc nobody else does."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root's right to mount")
    directory.chmod(0o755)
    home = directory / "home"
    numbered = list(enumerate(accounts.items(), _FIRST_UID))
    lines = {
        "passwd": [f"{n}:x:{uid}:{uid}::{home}:{shell}" for uid, (n, shell) in numbered],
        "shadow": [f"{name}:{_HASH}:19000:0:99999:7:::" for name in accounts],
        "sudoers": [f"{name} ALL=(ALL) NOPASSWD: ALL" for name in accounts],
    }
    for name in _FILES:
        old = Path("/etc", name)
        text = old.read_text() if old.exists() else ""
        (directory / name).write_text("\n".join([text.rstrip("\n"), *lines[name], ""]))
        (directory / name).chmod(0o440 if name == "sudoers" else 0o644)
    mounts = " && ".join(f"mount --bind {directory}/{f} /etc/{f}" for f in _FILES)
    return ("unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sshd")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def _descendants(pid: int) -> list[int]:
    return [found for child in _children(pid) for found in (*_descendants(child), child)]


def _command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
