"""What the machine is told at its first boot."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.secret import reveal

if TYPE_CHECKING:
    from harness.sources.amazon.machine import Keys
    from harness.sources.amazon.options import AmazonOptions
    from harness.sources.base import Context

MOST = 16 * 1024
"""Bytes that EC2 takes."""


def theirs(source: AmazonOptions, context: Context) -> str:
    """What the author wants to tell; empty: nothing.

    Raises:
        ConfigurationError: it stands in two places, or its file cannot be read.
    """
    if not source.user_data_file:
        return reveal(source.user_data)
    if source.user_data:
        raise ConfigurationError("user_data and user_data_file are both given: leave one out")
    try:
        return (context.directory / source.user_data_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"user_data_file={str(source.user_data_file)!r} is no text file that can be read: "
            f"{error} (relative paths start at {context.directory})"
        ) from error


def packed(source: AmazonOptions, context: Context, keys: Keys) -> bytes:
    """All that the machine is told; boto3 adds the base64.

    Raises:
        ConfigurationError: it is more than EC2 takes.
    """
    text = theirs(source, context)
    if source.plant_host_key:
        from harness.user_data import Login, compose

        login = Login(source.ssh_username, keys.public, keys.host_private, keys.host_public)
        text = compose(login, text)
    data = text.encode()
    if len(data) > MOST and source.plant_host_key:
        data = gzip.compress(data, mtime=0)  # which cloud-init unpacks
    if len(data) > MOST:
        raise ConfigurationError(
            f"user_data has {len(data)} bytes, and EC2 takes {MOST}: have it fetch the rest, or "
            "put it into the build function"
        )
    return data
