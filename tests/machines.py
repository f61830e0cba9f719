"""A `Machine` on a real OpenSSH server of this computer, and a clock that does not make us wait."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from harness import ssh
from harness.cancel import CancelToken
from harness.chain import Chain
from harness.events import Dispatcher, Output
from harness.journal import Journal
from harness.machine import Machine
from harness.sources.base import Context
from harness.testing import FakeInstance, FakeSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.events import Event
    from tests.sshd import Sshd


class Impatient(CancelToken):
    """Notes what it should have slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.check()
        if seconds:
            self.slept.append(seconds)


class Log:
    """What the build's log would hold."""

    def __init__(self) -> None:
        self._data = bytearray()

    def __call__(self, event: Event) -> None:
        assert isinstance(event, Output)
        self._data += event.data

    @property
    def text(self) -> str:
        return self._data.decode()


@contextlib.contextmanager
def machine_on(
    server: Sshd,
    directory: Path,
    cancel: CancelToken,
    log: Log | None = None,
    **login: Any,
) -> Iterator[Machine]:
    """A machine whose build's file lies in ``directory``; ``login`` changes its endpoint."""
    events = Dispatcher()
    if log is not None:
        events.subscribe(log)
    journal = Journal(directory / "journal" / "run.jsonl")
    known = ("web.fake", "web.other", "db.fake", "fake", "other")
    context = Context(
        "web.fake", "run", 0, directory, directory, journal, cancel, events, known_names=known
    )
    endpoint = dataclasses.replace(server.endpoint, **login)
    source = FakeSource(ssh_username=endpoint.username)
    connection = ssh.connect(endpoint, timeout=20, cancelled=cancel.is_set)
    try:
        yield Machine(source, context, Chain(), FakeInstance("fake-1"), connection)
        assert journal.outstanding() == []
    finally:
        connection.close()
        journal.close()
