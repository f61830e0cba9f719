"""What is made carries tags that say whose it is, from its creation on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.sources.amazon.options import AmazonOptions
    from harness.sources.base import Context

PROJECT = "image-harness:project"
RUN = "image-harness:run"
BUILD = "image-harness:build"
EXPIRES = "image-harness:expires"
"""When anybody may remove it, in UTC; what a finished image is made of has no such tag."""
TOKEN = "image-harness:token"  # noqa: S105 - no password
"""By which one thing is found again whose id was never learned."""
INPUTS = "image-harness:inputs"
PREFIX = "image-harness:"
_BEGAN = "amazon began"
MOST = 50
"""Tags that a thing may have."""


def begin(context: Context) -> None:
    """The build's time starts now: it may have waited for others."""
    context.notes[_BEGAN] = time.time()


def ours(source: AmazonOptions, context: Context, token: str) -> dict[str, str]:
    """The tags of something that a run makes."""
    end = time.gmtime(context.notes.get(_BEGAN, time.time()) + source.build_timeout)
    return {
        PROJECT: context.root.name,
        RUN: context.run_id,
        BUILD: context.build,
        EXPIRES: time.strftime("%Y-%m-%dT%H:%M:%SZ", end),
        TOKEN: token,
    }


def specification(kinds: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Tags at creation, as the API wants them: by the kind of resource."""
    return [{"ResourceType": kind, "Tags": as_list(tags)} for kind, tags in kinds.items() if tags]


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def of(thing: Mapping[str, Any]) -> dict[str, str]:
    """The tags that the API tells of a thing."""
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", ())}


def filters(**wanted: str) -> list[dict[str, Any]]:
    """Filters by tags: ``filters(token="x")``."""
    return [{"Name": f"tag:{PREFIX}{name}", "Values": [value]} for name, value in wanted.items()]
