"""What the lifecycle does with a source, without a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.testing import FakeConnection, FakeSource

if TYPE_CHECKING:
    from harness.model import Image
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Connection, Context


def build(
    source: AmazonEbs, context: Context, *, log_in: bool = False, clean_up: bool = True
) -> Image:
    """An image; whatever happens, the rest is destroyed.

    Args:
        source: its source.
        context: the build's.
        log_in: whether there is a machine to log in to.
        clean_up: False: this process is killed, as far as that can be.
    """
    instance = None
    try:
        source.validate(context)
        instance = source.launch(context)
        connection: Connection = FakeConnection(FakeSource(), context)
        if log_in:
            connection = source.connect(instance, context)
            assert connection.run("echo hello").stdout == "hello\n"
        source.stop(instance, connection, context)
        return source.publish(source.capture(instance, context), context)
    finally:
        if clean_up:
            source.destroy(instance, context)
