"""Keys as text, and as paramiko has them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io

import paramiko

from harness.errors import ConfigurationError


def host_key(line: str) -> tuple[str, bytes]:
    try:
        name, encoded = line.split()[:2]
        return name, base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ConfigurationError(
            f"host key {line!r} is no public key: expected 'ssh-ed25519 AAAA…'"
        ) from error


def private_key(text: str) -> paramiko.PKey:
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(text))
    raise ConfigurationError(
        "the private key cannot be read: expected an OpenSSH key without a passphrase, of type "
        "ed25519, ecdsa or rsa"
    )


def fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
