"""Faults of the API, by botocore's own hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from harness.sources.amazon import preflight
from tests.amazon.double import HOME

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context

    Fault = Callable[[Any], Any]


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> list[bytes]:
        return [self._body]


def answers(code: str, status: int) -> Fault:
    """The API says no."""

    def fault(request: Any) -> AWSResponse:
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>as the test says</Message>"
            "</Error></Errors><RequestID>r-42</RequestID></Response>"
        )
        return AWSResponse(request.url, status, {}, _Raw(body.encode()))

    return fault


def loses_reply(request: Any) -> None:
    """The call is made, and nobody learns what it answered."""
    URLLib3Session().send(request.copy() if hasattr(request, "copy") else request)
    raise ConnectionClosedError(endpoint_url=request.url)


def resets(request: Any) -> None:
    """The connection breaks before the call is made."""
    raise ConnectionClosedError(endpoint_url=request.url)


denied = answers("UnauthorizedOperation", 403)
throttled = answers("RequestLimitExceeded", 503)
broken = answers("InternalError", 500)
full = answers("InsufficientInstanceCapacity", 500)


def _body(request: Any) -> bytes:
    return request.body.encode() if isinstance(request.body, str) else request.body


class Faults:
    """What goes wrong, at which calls of a build.

    Attributes:
        calls: how often each operation was called.
        bodies: what was last sent to it.
    """

    def __init__(self, source: AmazonEbs, context: Context) -> None:
        self.api = preflight.region_api(source, context)
        self.calls: dict[str, int] = {}
        self.bodies: dict[str, str] = {}

    def at(
        self, operation: str, *faults: Fault | None, region: str = "", always: bool = False
    ) -> None:
        """These faults at the first calls of an operation (None: none); or the last for ever."""
        left = list(faults)

        def before_send(request: Any, **_: Any) -> Any:
            if b"DryRun=true" in _body(request):
                return None  # the question whether it may be called
            self.bodies[operation] = _body(request).decode()
            self.calls[operation] = self.calls.get(operation, 0) + 1
            if not left:
                return None
            fault = left[0] if always and len(left) == 1 else left.pop(0)
            return fault(request) if fault else None

        client = self.api.account.client("ec2", region or self.api.region)
        client.meta.events.register(f"before-send.ec2.{operation}", before_send)


def refuse_dry_run(source: AmazonEbs, context: Context) -> None:
    """Whoever asks whether instances may be launched is told no."""

    def before_send(request: Any, **_: Any) -> Any:
        return denied(request) if b"DryRun=true" in _body(request) else None

    client = preflight.region_api(source, context).account.client("ec2", source.region or HOME)
    client.meta.events.register("before-send.ec2.RunInstances", before_send)
