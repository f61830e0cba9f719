"""What a run makes on Amazon, as the journal knows it."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from harness.model import Resource
from harness.sources.amazon.place import Place

if TYPE_CHECKING:
    from harness.sources.amazon.account import Api
    from harness.sources.amazon.options import AmazonOptions
    from harness.sources.base import Context

KEY_PAIR = "key pair"
GROUP = "security group"
INSTANCE = "instance"
IMAGE = "image"
"""With its snapshots."""
_TOKEN = 64
"""Characters that a client token may have."""


def intend(kind: str, source: AmazonOptions, api: Api, context: Context) -> str:
    """Write down what is about to be made.

    Returns:
        The token that it will carry: as its client token, its name or a tag.
    """
    build = re.sub(r"[^A-Za-z0-9.-]", "-", context.build)
    token = f"harness-{build[:30]}-{secrets.token_hex(8)}"
    assert len(token) <= _TOKEN
    context.journal.intend(_resource(kind, source, api, context, token))
    return token


def gone(kind: str, source: AmazonOptions, api: Api, context: Context, token: str) -> None:
    """Write down that it is not there, or not the run's any more."""
    context.journal.gone(_resource(kind, source, api, context, token))


def _resource(kind: str, source: AmazonOptions, api: Api, context: Context, token: str) -> Resource:
    return Resource(kind, str(Place.of(api, token)), source.type, context.build)
