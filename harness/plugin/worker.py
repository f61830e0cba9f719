"""A worker of pytest-xdist: its share of the builds, and what it tells and hears meanwhile.

Every worker collects everything and keeps its share, whatever ``--dist`` says; then it runs the
same loop as a session without workers. `harness.plugin.controller` is the other end.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.events import Event, Notice
from harness.plugin.items import BUILD

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

RUN = "harness_run"
"""What the controller gives a worker: the run's id, and when it started."""
NOTICES = "harness_notices"
"""The attribute of a report that carries them."""
STOP = "harness_stop"
"""What it sends one that shall stop at once."""


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def count(config: pytest.Config) -> int:
    """How many workers share the builds; without workers 1."""
    given: int = getattr(config, "workerinput", {}).get("workercount", 1)
    return given


def identity(config: pytest.Config) -> tuple[str, int] | None:
    """The run's id, and when it started, if a controller has given them."""
    given = getattr(config, "workerinput", {}).get(RUN)
    return tuple(given) if given else None


def suffix(config: pytest.Config) -> str:
    """What tells a worker's files from those of the run's other workers."""
    return f"-{config.workerinput['workerid']}" if is_worker(config) else ""  # type: ignore[attr-defined]  # xdist's


def share(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """A worker's items: some of the builds, and some modules of tests that belong to none."""
    parts = sorted({_part(item) for item in items})
    given: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]  # xdist's, in workers
    number, count = int(given["workerid"].removeprefix("gw")), given["workercount"]
    mine = set(parts[number % count :: count])
    return [item for item in items if _part(item) in mine]


def _part(item: pytest.Item) -> tuple[bool, str]:
    """What must stay together; builds come first, so that they are dealt out evenly."""
    build = item.stash.get(BUILD, None)
    return build is None, build or str(item.path)


class Worker:
    """Keeps the controller informed while our loop runs in the place of xdist's own.

    A reader of events: notices go to the controller with the next report, to be shown there.
    """

    def __init__(self, session: pytest.Session) -> None:
        plugins = session.config.pluginmanager.get_plugins()
        # Its class lives in a namespace that nobody can import.
        self._xdist: Any = next(p for p in plugins if hasattr(p, "sendevent"))
        self._numbers = {item: number for number, item in enumerate(session.items)}
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listening = threading.Lock()
        self._over = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        started = time.monotonic()
        self._xdist.item_index = self._numbers[item]  # which item the reports are about
        result = yield
        self._xdist.sendevent(
            "runtest_protocol_complete",
            item_index=self._numbers[item],
            duration=time.monotonic() - started,
        )
        return result

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._notices.put(f"{event.build}: {event.text}" if event.build else event.text)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._notices.get_nowait())
        vars(report)[NOTICES] = lines
        return report

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Stop as on SIGTERM when the controller says so, or is gone."""
        self._xdist.channel.setcallback(self._hear, endmarker=(STOP, {}))
        try:
            yield
        finally:
            with self._listening:
                self._over = True

    def _hear(self, command: tuple[str, object]) -> None:
        with self._listening:
            if command[0] == STOP and not self._over:
                os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def connected(session: pytest.Session) -> Iterator[list[Worker]]:
    """While a session's builds run: its readers of events, if it is a worker's."""
    if not is_worker(session.config):
        yield []
        return
    worker = Worker(session)
    session.config.pluginmanager.register(worker)
    with worker.listening():
        yield [worker]
