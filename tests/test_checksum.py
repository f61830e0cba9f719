"""Checksums as options and lists write them."""

from __future__ import annotations

import pytest

from harness import checksum
from harness.errors import ConfigurationError

SHORT, LONG = "0aF1" * 16, "12eF" * 32
SHA256, SHA512 = f"sha256:{SHORT.lower()}", f"sha512:{LONG.lower()}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"sha256:{SHORT}", SHA256),
        (f"SHA512:{LONG}", SHA512),
        (f" {SHORT} ", SHA256),
        (LONG, SHA512),
    ],
)
def test_a_checksum_is_read(value: str, expected: str) -> None:
    assert str(checksum.parse("base_checksum", value)) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("sha256:abc", 'give "sha256:HEX"'),
        (f"sha512:{SHORT}", "is no checksum"),
        (f"sha256:{'g' * 64}", "is no checksum"),
        ("https://example.org/SHA256SUMS", '"file:" and the URL'),
        (f"md5:{'0' * 32}", "MD5 and SHA-1 can be forged"),
        (f"sha1:{'0' * 40}", "MD5 and SHA-1 can be forged"),
    ],
)
def test_anything_else_is_refused_with_the_valid_forms(value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        checksum.parse("base_checksum", value)


LISTS = {
    "GNU": f"{'1' * 64}  other.qcow2\n{SHORT}  disk.qcow2\n",
    "GNU, binary": f"{SHORT} *disk.qcow2\n{'1' * 64} *other.qcow2\n",
    "GNU, in a folder": f"{SHORT}  ./amd64/disk.qcow2\n{'1' * 64}  ./arm64/other.qcow2\n",
    "BSD": f"SHA256 (disk.qcow2) = {SHORT}\nSHA256 (other.qcow2) = {'1' * 64}\n",
    "OpenSSL": f"SHA2-256(disk.qcow2)= {SHORT}\n",
    "signed": "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
    f"# disk.qcow2: 345374720 bytes\nSHA256 (disk.qcow2) = {SHORT}\n-----BEGIN PGP SIGNATURE-----",
    "the digits alone": f"{SHORT}\n",
}


@pytest.mark.parametrize("listing", LISTS.values(), ids=LISTS)
def test_a_file_is_found_in_a_list(listing: str) -> None:
    assert str(checksum.find(listing, {"disk.qcow2"}, "SHA256SUMS")) == SHA256


def test_of_several_checksums_the_longest_counts() -> None:
    listing = f"{SHORT}  disk.qcow2\n{LONG}  disk.qcow2\n"
    assert str(checksum.find(listing, {"disk.qcow2"}, "CHECKSUM")) == SHA512


@pytest.mark.parametrize(
    ("listing", "there"),
    [
        (f"{SHORT}  other.qcow2\n", "other.qcow2"),
        (f"{SHORT}\n{LONG}\n", "no checksum at all"),
        ("<html>not found</html>", "no checksum at all"),
    ],
)
def test_a_list_without_the_file_says_what_it_has(listing: str, there: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no SHA-256 .* of disk.qcow2; it has {there}"):
        checksum.find(listing, {"disk.qcow2"}, "SHA256SUMS")
