"""Keys as text, and as paramiko has them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import paramiko

from harness.errors import ConfigurationError

SSH_PORT = 22
KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
_RSA = "ssh-rsa"
"""The one type of key that goes by other names in a handshake."""


@dataclass(frozen=True)
class HostKeys:
    """The keys of which a server must show one."""

    types: tuple[str, ...]
    blobs: tuple[bytes, ...]

    @property
    def algorithms(self) -> set[str]:
        """What to ask the server for, so that it shows one of these and none of its others."""
        return {*self.types} | ({"rsa-sha2-256", "rsa-sha2-512"} if _RSA in self.types else set())

    def __str__(self) -> str:
        return " or ".join(map(fingerprint, self.blobs))


def host_keys(text: str) -> HostKeys:
    """Public keys, a line each: ``ssh-ed25519 AAAA…``."""
    pairs = [_host_key(line) for line in text.splitlines()] or [_host_key(text)]
    types, blobs = zip(*pairs, strict=True)
    return HostKeys(types, blobs)


def known_hosts(host: str, port: int) -> str:
    """The host keys that this user has accepted from a server, a line each; empty: none.

    Raises:
        ConfigurationError: a file of theirs cannot be read.
    """
    known = paramiko.HostKeys()
    for name in KNOWN_HOSTS:
        try:
            known.load(str(Path(name).expanduser()))
        except FileNotFoundError:
            continue
        except (OSError, paramiko.hostkeys.InvalidHostKey) as error:
            raise ConfigurationError(f"{name} cannot be read: {error}") from error
    found = known.lookup(host if port == SSH_PORT else f"[{host}]:{port}")
    pairs = found.values() if found is not None else ()
    return "\n".join(f"{key.get_name()} {key.get_base64()}" for key in pairs)


def private_key(text: str, certificate: str = "") -> paramiko.PKey:
    """A private key, with the certificate that an authority gave for it."""
    key = _private_key(text)
    if certificate:
        try:
            key.load_certificate(certificate)
        except (ValueError, IndexError, binascii.Error, paramiko.SSHException) as error:
            raise ConfigurationError(
                f"the certificate {certificate[:40]!r} is none for this key: {error}"
            ) from error
    return key


def fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _host_key(line: str) -> tuple[str, bytes]:
    try:
        name, encoded = line.split()[:2]
        return name, base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ConfigurationError(
            f"host key {line!r} is no public key: expected 'ssh-ed25519 AAAA…'"
        ) from error


def _private_key(text: str) -> paramiko.PKey:
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(text))
    raise ConfigurationError(
        "the private key cannot be read: expected an OpenSSH key without a passphrase, of type "
        "ed25519, ecdsa or rsa"
    )
