"""Waits for instances and images to become what they should be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import SourceError
from harness.events import Output
from harness.sources.amazon.poller import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from harness.sources.amazon.account import Api
    from harness.sources.amazon.options import AmazonOptions
    from harness.sources.amazon.poller import Describe
    from harness.sources.base import Context

T = TypeVar("T")

BATCH = 200
"""Values that a filter may have."""


def instance(
    source: AmazonOptions, api: Api, context: Context, id: str, state: str
) -> dict[str, Any]:
    """Wait until an instance is in a state, and tell what the API then tells of it.

    Raises:
        SourceError: it never will be, or not in time.
    """
    tell = _Teller(context, f"instance {id}")

    def done(found: dict[str, Any]) -> dict[str, Any] | None:
        now = found["State"]["Name"]
        tell(now)
        if now == state:
            return found
        if now in ("shutting-down", "terminated") or (now == "stopped" and state == "running"):
            reason = found.get("StateReason", {}).get("Message") or "no reason is told"
            raise SourceError(f"instance {id} is {now}, and should be {state}: {reason}")
        return None

    return _wait(
        source, api, context, ("instance", id), done, timeout=source.state_timeout, state=state
    )


def image(
    source: AmazonOptions,
    api: Api,
    context: Context,
    id: str,
    ready: Callable[[Mapping[str, Any]], bool],
) -> dict[str, Any]:
    """Wait until an image is as far as ``ready`` wants it, and tell what the API tells of it.

    Raises:
        SourceError: it failed, or is not so far in time.
    """
    tell = _Teller(context, f"image {id} in {api.region}")

    def done(found: dict[str, Any]) -> dict[str, Any] | None:
        now = found.get("State", "")
        tell(now)
        if now in ("failed", "error", "invalid", "deregistered"):
            reason = found.get("StateReason", {}).get("Message") or "no reason is told"
            raise SourceError(f"image {id} in {api.region} is {now}: {reason}")
        return found if ready(found) else None

    return _wait(
        source, api, context, ("image", id), done, timeout=source.image_timeout, state="available"
    )


def is_available(image: Mapping[str, Any]) -> bool:
    return image.get("State") == "available"


def remaining(source: AmazonOptions, context: Context) -> float:
    """Seconds until the build's time is over.

    Raises:
        SourceError: it is.
    """
    began = context.notes.setdefault("amazon start", time.monotonic())
    left: float = began + source.build_timeout - time.monotonic()
    if left <= 0:
        raise SourceError(
            f"the build has taken longer than its build_timeout of {source.build_timeout:g} s"
        )
    return left


def _wait(
    source: AmazonOptions,
    api: Api,
    context: Context,
    what: tuple[str, str],
    done: Callable[[Any], T | None],
    *,
    timeout: float,
    state: str,
) -> T:
    (kind, id), pace = what, Pace()  # noqa: A001 - the API's word
    if delay := source.aws_polling.get("delay_seconds"):
        pace = Pace(float(delay), float(delay), 0)
    if attempts := source.aws_polling.get("max_attempts"):
        timeout = float(attempts) * pace.slowest
    return api.account.poller(kind, api.region).wait(
        id,
        _describe(kind, api),
        done,
        context.cancel,
        timeout=min(timeout, remaining(source, context)),
        pace=pace,
        waiting_for=state,
    )


def _describe(kind: str, api: Api) -> Describe:
    once = api.patient_no_more()  # the next question comes soon enough

    def instances(ids: Collection[str]) -> dict[str, Any]:
        # A filter, not InstanceIds: one that is not known yet would fail the call for all.
        filters = [{"Name": "instance-id", "Values": list(ids)}]
        found = once.list("describe_instances", "Reservations", Filters=filters)
        return {i["InstanceId"]: i for each in found for i in each["Instances"]}

    def images(ids: Collection[str]) -> dict[str, Any]:
        filters = [{"Name": "image-id", "Values": list(ids)}]
        found = once.list("describe_images", "Images", Owners=["self"], Filters=filters)
        return {image["ImageId"]: image for image in found}

    ask = {"instance": instances, "image": images}[kind]

    def describe(ids: Collection[str]) -> Mapping[str, Any]:
        every, found = list(ids), dict[str, Any]()
        for start in range(0, len(every), BATCH):
            found |= ask(every[start : start + BATCH])
        return found

    return describe


class _Teller:
    """Says what is waited for, whenever it changes."""

    def __init__(self, context: Context, what: str) -> None:
        self._context, self._what = context, what
        self._said = ""

    def __call__(self, state: str) -> None:
        if state != self._said:
            self._said = state
            line = f"{self._what}: {state}\n".encode()
            self._context.events.emit(Output(self._context.build, "command", line))
