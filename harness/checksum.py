"""What a file must be: a digest, as an option states it or as a list such as SHA256SUMS has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import urls
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.sources.base import Context

_DIGITS = {"sha256": 64, "sha512": 128}
_FORMS = (
    '"sha256:HEX" or "sha512:HEX", "file:" and the URL or path of a list such as SHA256SUMS, '
    'or "none" for a file that nothing vouches for'
)
# "SHA256 (name) = HEX", as BSD's tools and Fedora write; OpenSSL says SHA2-256.
_TAGGED = re.compile(
    r"SHA(?:2-)?(256|512) ?\((?P<name>.+)\) ?= ?(?P<digits>[0-9a-f]+)", re.IGNORECASE
)
# "HEX  name" or "HEX *name", as sha256sum writes.
_PLAIN = re.compile(r"(?P<digits>[0-9a-f]+)[ \t]+\*?(?P<name>.+)", re.IGNORECASE)


@dataclass(frozen=True)
class Checksum:
    """A digest and its algorithm; ``str()`` is how options and manifests write it."""

    algorithm: str
    digits: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digits}"


def parse(option: str, value: str) -> Checksum:
    """A checksum as Packer writes it: ``sha256:HEX``, or the digits alone.

    Raises:
        ConfigurationError: it is neither.
    """
    name, _, digits = value.strip().lower().rpartition(":")
    algorithm = _algorithm(digits)
    if algorithm is None or name not in ("", algorithm):
        hint = " (MD5 and SHA-1 can be forged)" if name in ("md5", "sha1") else ""
        raise ConfigurationError(f"{option}={value!r} is no checksum{hint}: give {_FORMS}")
    return Checksum(algorithm, digits)


def check(option: str, value: str, context: Context) -> None:
    """Refuse what `resolve` could make nothing of, as far as can be told without a network.

    Raises:
        ConfigurationError: it is no checksum, or its list is not there.
    """
    if not value.startswith("file:"):
        if value != "none":
            parse(option, value)
        return
    where = value.removeprefix("file:")
    if "://" in where:
        urls.check(option, where)
    elif not (context.directory / where).is_file():
        raise ConfigurationError(
            f"{option}={value!r}: there is no such file "
            f"(relative paths start at {context.directory})"
        )


def resolve(option: str, value: str, names: Collection[str], context: Context) -> Checksum | None:
    """The checksum that an option gives a file with one of the ``names``; None: ``none``.

    Raises:
        ConfigurationError: the list that the option names does not have the file.
        SourceError: the list cannot be read.
    """
    if value in ("", "none"):
        return None
    if not value.startswith("file:"):
        return parse(option, value)
    where = value.removeprefix("file:")
    if "://" in where:
        from harness import fetch  # only now: HTTP takes its time to load

        listing = fetch.text(where, context.cancel)
    else:
        listing = (context.directory / where).read_text(encoding="utf-8", errors="replace")
    return find(listing, names, urls.shown(where))


def required(option: str, what: str) -> ConfigurationError:
    """The error where a checksum is needed and none is given."""
    return ConfigurationError(f"{option} is missing for {what}: give {_FORMS}")


def find(listing: str, names: Collection[str], origin: str) -> Checksum:
    """The checksum of the file with one of the ``names`` in a list; the longest, of several.

    A list of one checksum without a name is taken for the file's own.

    Raises:
        ConfigurationError: the list, which came from ``origin``, does not have it.
    """
    entries = list(_entries(listing))
    wanted = {*names, ""} if len(entries) == 1 else set(names)
    known = [checksum for name, checksum in entries if name in wanted]
    if not known:
        there = ", ".join(sorted({name for name, _ in entries if name})[:5]) or "no checksum at all"
        raise ConfigurationError(
            f"{origin} has no SHA-256 or SHA-512 checksum of {' or '.join(sorted(names))}; "
            f"it has {there}"
        )
    return max(known, key=lambda checksum: len(checksum.digits))


def _entries(listing: str) -> Iterator[tuple[str, Checksum]]:
    """Each file name, without its folder, and its checksum; an empty name where there is none."""
    for line in map(str.strip, listing.splitlines()):
        match = _TAGGED.fullmatch(line) or _PLAIN.fullmatch(line)
        digits = (match["digits"] if match else line).lower()
        if algorithm := _algorithm(digits):
            name = match["name"].rpartition("/")[2] if match else ""
            yield name, Checksum(algorithm, digits)


def _algorithm(digits: str) -> str | None:
    """What makes so many digits; None where they are no digits."""
    if not re.fullmatch("[0-9a-f]+", digits):
        return None
    return next((name for name, count in _DIGITS.items() if count == len(digits)), None)
