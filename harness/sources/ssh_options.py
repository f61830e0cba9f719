"""The options of every source whose machines are reached by SSH; the names are Packer's."""

from __future__ import annotations

import dataclasses
import getpass
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness import keys
from harness.errors import ConfigurationError
from harness.model import Endpoint, Proxy
from harness.options import Options, Range
from harness.secret import Secret, reveal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness import ssh
    from harness.sources.base import Context

HIGHEST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class SshOptions(Options):
    """How a machine is reached by SSH. All times are in seconds.

    After the first login cloud-init, where the machine has it, gets 600 s to be done. Later logins
    (when provisioning is done, after a disconnection) have 60 s each.

    Without ``ssh_private_key_file``, ``ssh_password`` and ``ssh_agent_auth`` a temporary key is
    made for the machine, put into it, and taken out of its image. What these name is tried in the
    order agent, key, password; the base must know it already, and the image keeps it.

    Paths of files: a relative one starts at the build's file, ``~`` is the user's home. Keys with
    a passphrase belong into an agent.

    Args:
        ssh_host: the machine's address, where its source cannot know it.
        ssh_port: where its SSH server listens, default 22.
        ssh_username: default ``root``.
        ssh_password: the user's password, also where the server asks for it interactively.
        ssh_private_key_file: an OpenSSH private key: ed25519, ecdsa or rsa.
        ssh_certificate_file: the certificate for that key.
        ssh_agent_auth: use the keys of the agent at ``SSH_AUTH_SOCK``.
        ssh_pty: give provisioning commands a terminal, as a ``requiretty`` of sudo wants. All that
            they print is then stdout, and what is copied to the machine lies in /var/tmp first.
            Of tests' commands those have one that begin with sudo.
        ssh_timeout: for the first login after the start, default 300.
        ssh_handshake_attempts: how often the server may answer without letting us in; default 0,
            as often as there is time for.
        ssh_keep_alive_interval: after as long without a word the server is asked for one; default
            5, 0: never.
        ssh_read_write_timeout: after as long a silence, in spite of being asked, the connection
            counts as lost; default 60, 0: never.
        ssh_clear_authorized_keys: whether the seal takes the temporary key out of authorized_keys,
            default True. Nobody has its other half in either case.
        ssh_bastion_host: an SSH server to go through. Its host key must be in your known_hosts.
        ssh_bastion_port: default 22.
        ssh_bastion_username: default: your own name.
        ssh_bastion_password: as ``ssh_password``.
        ssh_bastion_private_key_file: as ``ssh_private_key_file``, which is its default.
        ssh_bastion_certificate_file: as ``ssh_certificate_file``.
        ssh_bastion_agent_auth: as ``ssh_agent_auth``.
        ssh_proxy_host: a SOCKS5 proxy to go through, to the bastion if there is one.
        ssh_proxy_port: default 1080.
        ssh_proxy_username: where the proxy asks for one.
        ssh_proxy_password: of that user.
        temporary_key_pair_type: ``ed25519`` (default), ``ecdsa`` or ``rsa``.
        temporary_key_pair_bits: default 0: 256 for ecdsa (384 and 521 are possible), 3072 for rsa
            (at least 2048).
        pause_before_connecting: after the first login hang up, and come back so much later;
            default 0.
    """

    ranges: ClassVar[Mapping[str, Range]] = {
        "ssh_port": Range(1, HIGHEST_PORT),
        "ssh_timeout": Range(1, unit="seconds"),
        "ssh_handshake_attempts": Range(0),
        "ssh_keep_alive_interval": Range(0, unit="seconds"),
        "ssh_read_write_timeout": Range(0, unit="seconds"),
        "ssh_bastion_port": Range(1, HIGHEST_PORT),
        "ssh_proxy_port": Range(1, HIGHEST_PORT),
        "pause_before_connecting": Range(0, unit="seconds"),
    }
    instead: ClassVar[Mapping[str, str]] = {
        "ssh_keypair_name": "name the key's file with ssh_private_key_file",
        "temporary_key_pair_name": "a temporary key has no name here; leave it out",
    }

    ssh_host: str = ""
    ssh_port: int = 22
    ssh_username: str = "root"
    ssh_password: str | Secret = field(default="", repr=False)
    ssh_private_key_file: str | Path = ""
    ssh_certificate_file: str | Path = ""
    ssh_agent_auth: bool = False
    ssh_pty: bool = False
    ssh_timeout: float = 300.0
    ssh_handshake_attempts: int = 0
    ssh_keep_alive_interval: float = 5.0
    ssh_read_write_timeout: float = 60.0
    ssh_clear_authorized_keys: bool = True
    ssh_bastion_host: str = ""
    ssh_bastion_port: int = 22
    ssh_bastion_username: str = ""
    ssh_bastion_password: str | Secret = field(default="", repr=False)
    ssh_bastion_private_key_file: str | Path = ""
    ssh_bastion_certificate_file: str | Path = ""
    ssh_bastion_agent_auth: bool = False
    ssh_proxy_host: str = ""
    ssh_proxy_port: int = 1080
    ssh_proxy_username: str = ""
    ssh_proxy_password: str | Secret = field(default="", repr=False)
    temporary_key_pair_type: str = "ed25519"
    temporary_key_pair_bits: int = 0
    pause_before_connecting: float = 0.0

    def validate_ssh(self, context: Context) -> None:
        """Refuse what cannot work, with `ConfigurationError`."""
        if not re.fullmatch(r"[^\s:/-][^\s:/]*", self.ssh_username):
            raise ConfigurationError(
                f"ssh_username={self.ssh_username!r} is no user's name: name one, or leave it out "
                "(root)"
            )
        for head in ("ssh_bastion_", "ssh_proxy_"):
            self._require_host(head)
        if 0 < self.ssh_read_write_timeout <= self.ssh_keep_alive_interval:
            raise ConfigurationError(
                f"ssh_read_write_timeout={self.ssh_read_write_timeout:g}: more than "
                f"ssh_keep_alive_interval={self.ssh_keep_alive_interval:g}, or any command that "
                "prints nothing for as long would be cut off; 0 switches it off"
            )
        keys.check(self.temporary_key_pair_type, self.temporary_key_pair_bits)
        _check_agent("ssh_agent_auth", self.ssh_agent_auth)
        _check_agent("ssh_bastion_agent_auth", self.ssh_bastion_agent_auth)
        self._check_keys(self.endpoint(context, "", 0, "", ""))

    @property
    def needs_key(self) -> bool:
        """Whether a machine is reached with a key made for it."""
        return not (self.ssh_private_key_file or self.ssh_password or self.ssh_agent_auth)

    def temporary_key(self) -> tuple[str, str]:
        """A new key pair for a machine, private and public; empty where none is wanted."""
        if not self.needs_key:
            return "", ""
        return keys.generate_key(self.temporary_key_pair_type, self.temporary_key_pair_bits)

    def endpoint(
        self, context: Context, host: str, port: int, temporary_key: str, host_key: str
    ) -> Endpoint:
        """Where a machine is reached, and how.

        Raises:
            ConfigurationError: a key's file cannot be read, or the bastion is unknown.
        """
        bastion, proxy = self._bastion(context), self._proxy()
        return Endpoint(
            host=self.ssh_host or host,
            port=self.ssh_port if self.ssh_host else port,
            username=self.ssh_username,
            private_key=self._read("ssh_private_key_file", context) or temporary_key,
            host_key=host_key,
            certificate=self._read("ssh_certificate_file", context),
            password=reveal(self.ssh_password),
            agent_auth=self.ssh_agent_auth,
            bastion=bastion,
            proxy=None if bastion else proxy,
            handshake_attempts=self.ssh_handshake_attempts,
            keep_alive_interval=self.ssh_keep_alive_interval,
            read_write_timeout=self.ssh_read_write_timeout,
            pty=self.ssh_pty,
        )

    def connect_ssh(
        self,
        endpoint: Endpoint,
        context: Context,
        *,
        alive: Callable[[], str | None],
        ready: Callable[[], bool],
    ) -> ssh.Connection:
        """Wait for the endpoint and log in; see `harness.ssh.connect`."""
        from harness import ssh  # while the machine boots: paramiko takes its time to load

        def connect() -> ssh.Connection:
            return ssh.connect(
                endpoint,
                timeout=self.ssh_timeout,
                cancelled=context.cancel.is_set,
                alive=alive,
                ready=ready,
            )

        connection = connect()
        if self.pause_before_connecting:
            connection.close()
            context.cancel.sleep(self.pause_before_connecting)
            connection = connect()
        return connection

    def _bastion(self, context: Context) -> Endpoint | None:
        if not self.ssh_bastion_host:
            return None
        name = self.ssh_bastion_username or getpass.getuser()
        own_key = "ssh_bastion_private_key_file" if self.ssh_bastion_private_key_file else None
        return Endpoint(
            host=self.ssh_bastion_host,
            port=self.ssh_bastion_port,
            username=name,
            private_key=self._read(own_key or "ssh_private_key_file", context),
            host_key=_known_host(self.ssh_bastion_host, self.ssh_bastion_port, name),
            certificate=self._read("ssh_bastion_certificate_file", context),
            password=reveal(self.ssh_bastion_password),
            agent_auth=self.ssh_bastion_agent_auth,
            proxy=self._proxy(),
        )

    def _proxy(self) -> Proxy | None:
        if not self.ssh_proxy_host:
            return None
        return Proxy(
            self.ssh_proxy_host,
            self.ssh_proxy_port,
            self.ssh_proxy_username,
            reveal(self.ssh_proxy_password),
        )

    def _read(self, option: str, context: Context) -> str:
        value = getattr(self, option)
        if not value:
            return ""
        path = context.directory / Path(value).expanduser()
        try:
            return path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{option}={str(value)!r} cannot be read: {error}") from error

    def _require_host(self, head: str) -> None:
        for option in dataclasses.fields(self):
            given = getattr(self, option.name) != option.default
            if option.name.startswith(head) and given and not getattr(self, f"{head}host"):
                raise ConfigurationError(f"{option.name} is of no use without {head}host")

    def _check_keys(self, endpoint: Endpoint) -> None:
        for option, at in (("ssh", endpoint), ("ssh_bastion", endpoint.bastion)):
            if at is None:
                continue
            if at.certificate and not at.private_key:
                raise ConfigurationError(
                    f"{option}_certificate_file is of no use without {option}_private_key_file"
                )
            if at.private_key:
                from harness.ssh.keys import private_key

                try:
                    private_key(at.private_key, at.certificate)
                except ConfigurationError as error:
                    raise ConfigurationError(f"{option}_private_key_file: {error}") from error


def _check_agent(option: str, wanted: bool) -> None:
    if wanted and not os.environ.get("SSH_AUTH_SOCK"):
        raise ConfigurationError(
            f"{option}=True, but there is no SSH agent: SSH_AUTH_SOCK is not set. "
            "Start one with `eval $(ssh-agent)`, and add your key with `ssh-add`"
        )


def _known_host(host: str, port: int, username: str) -> str:
    from harness.ssh.keys import KNOWN_HOSTS, known_hosts

    if found := known_hosts(host, port):
        return found
    raise ConfigurationError(
        f"ssh_bastion_host={host!r}: its host key is in none of {', '.join(KNOWN_HOSTS)}, so it "
        f"could be anybody. Log in once by hand, `ssh -p {port} {username}@{host}`, compare the "
        "fingerprint and accept the key"
    )
