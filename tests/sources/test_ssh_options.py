from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness import keys
from harness.errors import ConfigurationError
from harness.model import Proxy
from harness.sources.qemu import Qemu
from harness.sources.qemu.options import check_route
from harness.sources.ssh_options import SshOptions

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sources.base import Context

PRIVATE, PUBLIC = keys.generate_key()


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """All that options ask of one; HOME is a folder of the test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(f"[jump.example]:2222 {PUBLIC}\n")
    (tmp_path / "key").write_text(PRIVATE)
    (tmp_path / "damaged").write_text(PRIVATE[:80])
    (tmp_path / "certificate").write_text("ssh-ed25519-cert-v01@openssh.com AAAA\n")
    return cast("Context", _Directory(tmp_path))


@dataclasses.dataclass
class _Directory:
    directory: Path


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ssh_username": ""}, "ssh_username='' is no user"),
        ({"ssh_port": 0}, "ssh_port=0: write a whole number, at least 1, at most 65535"),
        ({"ssh_port": "22"}, "ssh_port='22': write a whole number"),
        ({"ssh_port": 22.5}, "ssh_port=22.5: write a whole number"),
        ({"ssh_timeout": True}, "ssh_timeout=True: write a number of seconds"),
        ({"ssh_timeout": float("nan")}, "ssh_timeout=nan: write a number of seconds"),
        ({"ssh_timeout": float("inf")}, "ssh_timeout=inf: write a number of seconds"),
        ({"ssh_password": 1234}, "^ssh_password is of type int: write a text or a harness.Secret$"),
        ({"ssh_keypair_name": "k"}, "name the key's file with ssh_private_key_file"),
        ({"ssh_timeout": 0}, "ssh_timeout=0: write a number of seconds, at least 1"),
        (
            {"ssh_handshake_attempts": -1},
            "ssh_handshake_attempts=-1: write a whole number, at least 0",
        ),
        (
            {"pause_before_connecting": -1},
            "pause_before_connecting=-1: write a number of seconds, at least 0",
        ),
        (
            {"ssh_keep_alive_interval": 60},
            "ssh_read_write_timeout=60: more than ssh_keep_alive_interval=60",
        ),
        ({"ssh_private_key_file": "none"}, "ssh_private_key_file='none' cannot be read: .*No such"),
        ({"ssh_private_key_file": "damaged"}, "ssh_private_key_file: the private key cannot be"),
        (
            {"ssh_private_key_file": "key", "ssh_certificate_file": "certificate"},
            "ssh_private_key_file: the certificate .* is none for this key",
        ),
        (
            {"ssh_certificate_file": "certificate"},
            "ssh_certificate_file is of no use without ssh_private_key_file",
        ),
        ({"ssh_agent_auth": True}, "ssh_agent_auth=True, but there is no SSH agent"),
        ({"temporary_key_pair_type": "dsa"}, "choose one of ed25519, ecdsa, rsa"),
        ({"ssh_bastion_port": 2222}, "ssh_bastion_port is of no use without ssh_bastion_host"),
        ({"ssh_proxy_password": "x"}, "ssh_proxy_password is of no use without ssh_proxy_host"),
        (
            {"ssh_bastion_host": "jump.example", "ssh_bastion_username": "me"},
            "ssh_bastion_host='jump.example': its host key is in none of .*known_hosts.* by hand, "
            "`ssh -p 22 me@jump.example`",
        ),
    ],
)
def test_what_cannot_work_is_refused(context: Context, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        SshOptions(**options).validate_ssh(context)


def test_a_temporary_key_is_made_where_nothing_else_lets_us_in(context: Context) -> None:
    options = SshOptions(temporary_key_pair_type="ecdsa", temporary_key_pair_bits=384)
    options.validate_ssh(context)
    private, public = options.temporary_key()
    assert public.startswith("ecdsa-sha2-nistp384 ")
    endpoint = options.endpoint(context, "192.0.2.1", 2200, private, "host key")
    assert (endpoint.host, endpoint.port, endpoint.username) == ("192.0.2.1", 2200, "root")
    assert (endpoint.private_key, endpoint.host_key) == (private, "host key")
    for own in ({"ssh_password": "x"}, {"ssh_private_key_file": "key"}, {"ssh_agent_auth": True}):
        assert SshOptions(**own).temporary_key() == ("", "")


def test_the_way_through_a_bastion_and_a_proxy(context: Context) -> None:
    options = SshOptions(
        ssh_host="10.0.0.5",
        ssh_port=2022,
        ssh_private_key_file="~/key",
        ssh_bastion_host="jump.example",
        ssh_bastion_port=2222,
        ssh_bastion_username="me",
        ssh_proxy_host="proxy.example",
        ssh_pty=True,
    )
    options.validate_ssh(context)
    endpoint = options.endpoint(context, "127.0.0.1", 40000, "", "host key")
    assert (endpoint.host, endpoint.port, endpoint.pty) == ("10.0.0.5", 2022, True)
    assert endpoint.private_key == PRIVATE
    assert endpoint.proxy is None, "it is the bastion that is reached through it"
    assert endpoint.bastion is not None
    assert (endpoint.bastion.host, endpoint.bastion.username) == ("jump.example", "me")
    assert endpoint.bastion.private_key == PRIVATE
    assert endpoint.bastion.host_key.split() == PUBLIC.split()[:2]
    assert endpoint.bastion.proxy == Proxy("proxy.example", 1080)


@pytest.mark.parametrize("options", [{"ssh_bastion_host": "x"}, {"ssh_proxy_host": "x"}])
def test_nothing_lies_on_the_way_to_a_local_machine(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="='x': a local machine is reached at a port of"):
        check_route(Qemu(**options))
    check_route(Qemu(ssh_host="10.0.0.5", **options))


def test_secrets_are_in_no_report() -> None:
    source = Qemu(ssh_password="s3cret", ssh_bastion_password="s3cret", ssh_proxy_password="s3cret")
    assert "s3cret" not in repr(source)
    assert "s3cret" not in str(source.options())
    assert source.options()["ssh_password"] == "***"
    assert Qemu().options()["ssh_password"] == ""
