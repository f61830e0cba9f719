from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from harness import keys
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("type", "bits", "shown"),
    [
        ("ed25519", 0, "256 SHA256:"),
        ("ecdsa", 0, "256 SHA256:"),
        ("ecdsa", 521, "521 SHA256:"),
        ("rsa", 0, "3072 SHA256:"),
        ("rsa", 2048, "2048 SHA256:"),
    ],
)
def test_generated_keys_are_openssh_keys(tmp_path: Path, type: str, bits: int, shown: str) -> None:
    private, public = keys.generate_key(type, bits)
    file = tmp_path / "key"
    file.write_text(private)
    file.chmod(0o600)
    assert _ssh_keygen("-y", "-f", file).split() == public.split()
    assert _ssh_keygen("-l", "-f", file).startswith(shown)
    assert keys.generate_key(type, bits) != (private, public)


def _ssh_keygen(*arguments: str | Path) -> str:
    return subprocess.run(
        ["ssh-keygen", *arguments], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("type", "bits", "told"),
    [
        ("dsa", 0, "temporary_key_pair_type='dsa': choose one of ed25519, ecdsa, rsa"),
        ("rsa", 1024, "temporary_key_pair_bits=1024: for rsa at least 2048"),
        ("ecdsa", 255, "temporary_key_pair_bits=255: for ecdsa 256, 384, 521"),
        ("ed25519", 512, "temporary_key_pair_bits=512: for ed25519 256"),
    ],
)
def test_other_keys_are_refused(type: str, bits: int, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        keys.generate_key(type, bits)
