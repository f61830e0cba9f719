"""A worker of pytest-xdist: its share of the builds, and what it tells and hears meanwhile.

Every worker collects everything and keeps its share, whatever ``--dist`` says; then it runs the
same loop as a session without workers. `harness.plugin.controller` is the other end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness import events, run_identity
from harness.model import LocalDemand
from harness.run_identity import RunIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from harness.events import Event

RUN = "harness_run"
"""What the controller gives a worker: the run's identity."""
IDENTITY = pytest.StashKey[RunIdentity]()
EVENTS = "harness_events"
"""The channel that it gives a worker for them."""
STOP = "harness_stop"
"""What it sends one that shall stop at once."""
CAPACITY = "harness_capacity"
"""Where a worker is given what this computer has for all workers' machines: memory and cores."""
VAR_FILES = "harness_var_files"
"""Where a worker is given what the files of ``--var-file`` have, which may be pipes."""
READY = "harness_ready"
"""What a worker says that could begin."""
BEGIN = "harness_begin"
"""What the controller answers once all can."""
REFUSAL = "harness_refusal"
"""Where a worker's output has the sentences of its usage error."""

_TAIL = 2048
"""Bytes of a build's output, and how often, in seconds."""
_BEGIN_SECONDS = 0.1
_TAIL_SECONDS = 0.5


def packed(event: Event) -> tuple[str, dict[str, Any]]:
    """An event of plain values, as execnet takes it."""
    return type(event).__name__, vars(event)


class Feed:
    """The controller's end of what a worker says: its events, for one reader of them.

    ``ready`` is called, with the names of its builds, when the worker could begin.
    """

    def __init__(
        self, reader: Callable[[Event], None], ready: Callable[[Sequence[str]], None]
    ) -> None:
        self._reader = reader
        self._ready = ready
        self._builds: set[str] = set()

    def __call__(self, message: tuple[str, dict[str, Any]] | None) -> None:
        """None: the worker is gone, and its builds with it."""
        if message is None:
            for build in self._builds:
                self._reader(events.BuildFinished(build, None))
            return
        name, values = message
        if name == READY:
            self._ready(values["builds"])
            return
        event: Event = getattr(events, name)(**values)
        self._builds.add(event.build)
        self._reader(event)


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def count(config: pytest.Config) -> int:
    """How many workers share the builds; without workers 1."""
    given: int = getattr(config, "workerinput", {}).get("workercount", 1)
    return given


def identity(config: pytest.Config) -> RunIdentity | None:
    """The run's, if a controller has given it."""
    given = getattr(config, "workerinput", {}).get(RUN)
    return RunIdentity(*given) if given else None


def run(config: pytest.Config) -> RunIdentity:
    """The run's: the controller's, or that of a run that begins when this is first asked."""
    if IDENTITY not in config.stash:
        config.stash[IDENTITY] = identity(config) or run_identity.new(config.rootpath)
    return config.stash[IDENTITY]


def tell_ready(config: pytest.Config, builds: Sequence[str] = ()) -> None:
    """Say that nothing here keeps the other workers from beginning."""
    if identity(config) is not None:
        with contextlib.suppress(OSError):  # the controller is gone
            config.workerinput[EVENTS].send((READY, {"builds": list(builds)}))  # type: ignore[attr-defined]  # xdist's


def suffix(config: pytest.Config) -> str:
    """What tells a worker's files from those of the run's other workers."""
    return f"-{config.workerinput['workerid']}" if is_worker(config) else ""  # type: ignore[attr-defined]  # xdist's


def number(config: pytest.Config) -> int:
    """Which of the workers this is, from 0; without workers 0."""
    given: dict[str, Any] = getattr(config, "workerinput", {})
    return int(given.get("workerid", "gw0").removeprefix("gw")) % count(config)


def capacity(config: pytest.Config) -> LocalDemand | None:
    """What the controller has found that this computer can give, if there is one."""
    given = getattr(config, "workerinput", {}).get(CAPACITY)
    return LocalDemand(*given) if given else None


class Refusals:
    """Registered in a worker: tells the controller of a usage error, which xdist would swallow."""

    def __init__(self, config: pytest.Config) -> None:
        self._output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined]  # xdist's

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        with self._told():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        with self._told():
            return (yield)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except pytest.UsageError as error:
            self._output[REFUSAL] = [str(sentence) for sentence in error.args]
            raise


class Worker:
    """Keeps the controller informed while our loop runs in the place of xdist's own.

    A reader of events: what the controller shows of them goes there at once, and of the output,
    which may be large, the end, now and then.
    """

    def __init__(self, session: pytest.Session) -> None:
        plugins = session.config.pluginmanager.get_plugins()
        # Its class lives in a namespace that nobody can import.
        self._xdist: Any = next(p for p in plugins if hasattr(p, "sendevent"))
        self._numbers = {item: number for number, item in enumerate(session.items)}
        self._channel: Any = session.config.workerinput[EVENTS]  # type: ignore[attr-defined]  # xdist's
        self._tails: dict[str, bytes] = {}
        self._listening = threading.Lock()
        self._over = False
        self._closing = threading.Event()
        self._config = session.config
        self._begun = threading.Event()

    def wait_for_the_others(self, builds: Sequence[str]) -> None:
        """Begin when all workers could: a mistake in one's share must not cost any machine."""
        tell_ready(self._config, builds)
        # A signal ends it, the controller's STOP is one. Python may miss one that comes just before
        # a wait without an end.
        while not self._begun.wait(_BEGIN_SECONDS):
            pass

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
        if isinstance(event, events.Output):
            tail = self._tails.get(event.build, b"") + event.data
            self._tails[event.build] = tail[-_TAIL:]
        elif isinstance(event, events.StageStarted):
            self._tails.pop(event.build, None)
            self._send(event)
        elif isinstance(event, events.BuildFinished):
            self._send(dataclasses.replace(event, image=None))  # of that the manifest tells
        elif isinstance(event, events.Notice | events.Progress | events.CallFinished):
            self._send(event)

    def _send(self, event: Event) -> None:
        with contextlib.suppress(OSError):  # the controller is gone: `_hear` ends the session
            self._channel.send(packed(event))

    def _send_tails(self) -> None:
        while not self._closing.wait(_TAIL_SECONDS):
            for build in list(self._tails):
                self._send(events.Output(build, "end", self._tails.pop(build)))

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Stop as on SIGTERM when the controller says so, or is gone."""
        self._xdist.channel.setcallback(self._hear, endmarker=(STOP, {}))
        threading.Thread(target=self._send_tails, daemon=True).start()
        try:
            yield
        finally:
            self._closing.set()
            with self._listening:
                self._over = True

    def _hear(self, command: tuple[str, object]) -> None:
        if command[0] == BEGIN:
            self._begun.set()
        with self._listening:
            if command[0] == STOP and not self._over:
                os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def connected(session: pytest.Session) -> Iterator[Worker | None]:
    """While a session's builds run: what connects it with the controller, if it is a worker's."""
    if not is_worker(session.config):
        yield None
        return
    worker = Worker(session)
    session.config.pluginmanager.register(worker)
    with worker.listening():
        yield worker
