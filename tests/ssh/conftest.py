"""A server and a login for all tests here; whoever breaks theirs starts their own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import ssh
from tests import sshd
from tests.ssh.watching import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.ssh import Connection
    from tests.sshd import Sshd

ACCOUNTS = {
    "in-csh": "/bin/csh",
    "in-fish": "/usr/bin/fish",
    "in-bash": "/bin/bash",
    "in-nothing": "/usr/sbin/nologin",
    "sudoer": "/bin/sh",
    "needs-tty": "/bin/sh",
    "needs-password": "/bin/sh",
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def connection(server: Sshd) -> Iterator[Connection]:
    connection = ssh.connect(server.endpoint, timeout=20)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def accounts() -> Iterator[Sshd]:
    """A server with users of its own: `ACCOUNTS`."""
    for shell in ACCOUNTS.values():
        if not Path(shell).exists():
            pytest.skip(f"{shell} is not installed")
    with (
        _open_directory() as directory,
        sshd.running(directory, "PasswordAuthentication yes", accounts=ACCOUNTS) as server,
    ):
        with (directory / "sudoers").open("a") as sudoers:
            sudoers.write("Defaults:needs-tty requiretty\n")
            sudoers.write("needs-password ALL=(ALL) PASSWD: ALL\n")
        yield server


@pytest.fixture
def open_path() -> Iterator[Path]:
    """As ``tmp_path``, but other users may be let in: pytest's own folders are closed to them."""
    with _open_directory() as directory:
        yield directory


@contextlib.contextmanager
def _open_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp())
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An SSH agent without keys."""
    where = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", where], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(where))
    assert eventually(where.exists)
    yield
    process.kill()
    process.wait()
