"""Temporary keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

BITS = {"ed25519": (256,), "ecdsa": (256, 384, 521), "rsa": (3072,)}
"""The sizes of each type of key, its default first; for rsa any from `RSA_MINIMUM` on."""
RSA_MINIMUM = 2048


def check(type: str, bits: int = 0) -> None:
    """Refuse with `ConfigurationError` what `generate_key` cannot make."""
    if type not in BITS:
        raise ConfigurationError(
            f"temporary_key_pair_type={type!r}: choose one of {', '.join(BITS)}"
        )
    if bits not in (0, *BITS[type]) and not (type == "rsa" and bits >= RSA_MINIMUM):
        choices = f"at least {RSA_MINIMUM}" if type == "rsa" else ", ".join(map(str, BITS[type]))
        raise ConfigurationError(f"temporary_key_pair_bits={bits!r}: for {type} {choices}")


def generate_key(type: str = "ed25519", bits: int = 0) -> tuple[str, str]:
    """A new key pair: the private key as OpenSSH's text, and the public line.

    Args:
        type: ``ed25519``, ``ecdsa`` or ``rsa``.
        bits: 0: the type's default.

    Raises:
        ConfigurationError: another type, or a size that it does not have.
    """
    from cryptography.hazmat.primitives import serialization

    check(type, bits)
    key = _generate(type, bits or BITS[type][0])
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return private.decode(), public.decode()


def _generate(type: str, bits: int) -> Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if type == "rsa":
        return rsa.generate_private_key(65537, bits)
    if type == "ecdsa":
        return ec.generate_private_key(
            {256: ec.SECP256R1, 384: ec.SECP384R1}.get(bits, ec.SECP521R1)()
        )
    return ed25519.Ed25519PrivateKey.generate()
