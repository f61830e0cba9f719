"""URLs of files: what may be one, and what of it others may see."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from harness.errors import ConfigurationError


def check(option: str, url: str) -> None:
    """Refuse a URL that cannot be fetched from.

    Raises:
        ConfigurationError: it is not HTTP, has a password, or names no file.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not file_name(url):
        raise ConfigurationError(
            f"{option}={url!r} is no URL of a file: it starts with http:// or https:// and ends "
            "in a file's name"
        )
    if "@" in parts.netloc:
        raise ConfigurationError(
            f"{option}: a URL on {parts.hostname} has a user name or password, which would end up "
            "in logs: use a signed URL or a server of your own"
        )


def file_name(url: str) -> str:
    """The name of the file that a URL leads to."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def shown(url: str) -> str:
    """A URL without its query, which may hold a signature that nobody else should see."""
    return url.partition("?")[0]
