"""Who is let in, by what, and what is said of those who are not."""

from __future__ import annotations

import dataclasses
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from harness import keys, ssh
from harness.errors import CancelledError, ConfigurationError, ConnectError
from tests import sshd

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import Endpoint
    from tests.sshd import Sshd

pytestmark = pytest.mark.sshd


def whoami(endpoint: Endpoint) -> str:
    connection = ssh.connect(endpoint, timeout=20)
    try:
        return connection.run("id -un").stdout.strip()
    finally:
        connection.close()


def test_another_host_key_is_refused_with_both_fingerprints(server: Sshd) -> None:
    _, other = keys.generate_key()
    wrong = dataclasses.replace(server.endpoint, host_key=other)
    message = "host key different: expected SHA256:.*, got SHA256:"
    with pytest.raises(ConnectError, match=message):
        ssh.connect(wrong, timeout=0.4)


def test_another_user_key_is_refused(server: Sshd) -> None:
    private, _ = keys.generate_key()
    wrong = dataclasses.replace(server.endpoint, private_key=private)
    with pytest.raises(ConnectError, match=f"key refused for user {server.endpoint.username}"):
        ssh.connect(wrong, timeout=0.4)


def test_a_key_that_comes_late_lets_us_in(tmp_path: Path) -> None:
    with sshd.running(tmp_path) as server:
        (tmp_path / "authorized_keys").unlink()
        timer = threading.Timer(0.7, server.authorize)
        timer.start()
        ssh.connect(server.endpoint, timeout=20).close()
        timer.join()


def test_a_server_without_common_algorithms_is_told(tmp_path: Path) -> None:
    with (
        sshd.running(tmp_path, "Ciphers aes128-cbc\nKexAlgorithms diffie-hellman-group1-sha1") as s,
        pytest.raises(ConnectError, match="algorithms not in common"),
    ):
        ssh.connect(s.endpoint, timeout=0.4)


def test_a_login_can_be_cancelled(server: Sshd) -> None:
    private, _ = keys.generate_key()
    wrong = dataclasses.replace(server.endpoint, private_key=private)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(CancelledError):
        ssh.connect(wrong, timeout=60, cancelled=stop.is_set)


@pytest.mark.parametrize(("type", "bits"), [("ecdsa", 256), ("ecdsa", 521), ("rsa", 2048)])
def test_other_types_of_keys(tmp_path: Path, type: str, bits: int) -> None:
    with sshd.running(tmp_path) as server:
        private, public = keys.generate_key(type, bits)
        (tmp_path / "authorized_keys").write_text(f"{public}\n")
        endpoint = dataclasses.replace(server.endpoint, private_key=private)
        assert whoami(endpoint) == endpoint.username


def test_a_server_shows_the_key_that_is_expected_of_its_many(tmp_path: Path) -> None:
    rsa = str(tmp_path / "rsa_host_key")
    keygen("-t", "rsa", "-b", "2048", "-N", "", "-f", rsa)
    with sshd.running(tmp_path, f"HostKey {rsa}") as server:
        own = server.endpoint.host_key
        public = (tmp_path / "rsa_host_key.pub").read_text()
        _, other = keys.generate_key()
        for known in (own, public, f"{public}{own}", f"{other}\n{own}"):
            whoami(dataclasses.replace(server.endpoint, host_key=known))


def test_a_certificate(tmp_path: Path) -> None:
    authority = tmp_path / "authority"
    keygen("-t", "ed25519", "-N", "", "-f", str(authority))
    with sshd.running(tmp_path, f"TrustedUserCAKeys {authority}.pub") as server:
        (tmp_path / "authorized_keys").unlink()
        user = server.endpoint.username
        keygen("-s", str(authority), "-I", "x", "-n", user, str(tmp_path / "user_key.pub"))
        certificate = (tmp_path / "user_key-cert.pub").read_text()
        assert whoami(dataclasses.replace(server.endpoint, certificate=certificate)) == user
        with pytest.raises(ConnectError, match="key refused"):
            ssh.connect(server.endpoint, timeout=0.4)
        other, _ = keys.generate_key("ecdsa")
        wrong = dataclasses.replace(server.endpoint, certificate=certificate, private_key=other)
        with pytest.raises(ConfigurationError, match=r"certificate .* is none for this key"):
            ssh.connect(wrong, timeout=0.4)


def test_a_password(accounts: Sshd) -> None:
    endpoint = dataclasses.replace(accounts.endpoint, username="in-bash", private_key="")
    assert whoami(dataclasses.replace(endpoint, password=sshd.PASSWORD)) == "in-bash"
    with pytest.raises(ConnectError, match="password refused for user in-bash"):
        ssh.connect(dataclasses.replace(endpoint, password="wrong"), timeout=0.4)


def test_an_agent(server: Sshd, agent: None) -> None:
    endpoint = dataclasses.replace(server.endpoint, private_key="", agent_auth=True)
    with pytest.raises(ConfigurationError, match=r"nothing lets us in.*the SSH agent has no key"):
        ssh.connect(endpoint, timeout=20)
    other, _ = keys.generate_key()
    add_to_agent(other)
    with pytest.raises(ConnectError, match=r"agent's key SHA256:.* refused for user"):
        ssh.connect(endpoint, timeout=0.4)
    add_to_agent(server.endpoint.private_key)
    assert whoami(endpoint) == endpoint.username


def add_to_agent(private_key: str) -> None:
    subprocess.run(
        ["ssh-add", "-q", "-"], input=private_key.encode(), capture_output=True, check=True
    )


def test_a_server_that_wants_a_key_and_a_password(open_path: Path) -> None:
    options = "PasswordAuthentication yes\nAuthenticationMethods publickey,password"
    with sshd.running(open_path, options, accounts={"both": "/bin/sh"}) as server:
        endpoint = dataclasses.replace(server.endpoint, username="both")
        assert whoami(dataclasses.replace(endpoint, password=sshd.PASSWORD)) == "both"
        with pytest.raises(ConnectError, match="key is not enough: the server also wants password"):
            ssh.connect(endpoint, timeout=0.4)


def test_attempts_are_counted(server: Sshd) -> None:
    _, other = keys.generate_key()
    endpoint = dataclasses.replace(server.endpoint, host_key=other, handshake_attempts=2)
    with pytest.raises(ConnectError, match="no login after ssh_handshake_attempts=2: host key"):
        ssh.connect(endpoint, timeout=60)


def keygen(*arguments: str) -> None:
    subprocess.run(["ssh-keygen", "-q", *arguments], check=True)
