"""The controller of pytest-xdist in a session with builds.

It deals out nothing: the workers know their shares. It listens, reports what a worker that died
has left undone, and tells of the run's images once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from harness import computer, journal, reaper, run_identity
from harness.events import Notice
from harness.plugin import junit, variables, worker
from harness.plugin.progress import Turns
from harness.plugin.signals import Signals
from harness.plugin.summary import Summary
from harness.reports import manifest
from harness.reports.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

INTERRUPTED = "keyboard-interrupt"
"""How xdist calls the end of a worker that is no crash."""


class Node(Protocol):
    """A worker as xdist's controller knows it."""

    gateway: Any
    workerinput: dict[str, Any]
    workeroutput: dict[str, Any]

    def send_runtest_all(self) -> None: ...

    def sendcommand(self, name: str, **kwargs: object) -> None: ...

    def shutdown(self) -> None: ...


class Shares:
    """A scheduler of xdist's that lets each worker run all that it has collected."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config  # pytest-rerunfailures asks for it
        self._collected = 0
        self._items = 0
        self._pending: dict[Node, dict[int, str]] = {}
        self._crashed: dict[Node, str] = {}

    @property
    def nodes(self) -> list[Node]:
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        return all(self._collected >= node.workerinput["workercount"] for node in self._pending)

    @property
    def has_pending(self) -> bool:
        return any(self._pending.values())

    @property
    def tests_finished(self) -> bool:
        return self.collection_is_completed and not self.has_pending

    def expect(self, node: Node) -> None:
        """Know a worker from its start: one that another's crash overtook is never added."""
        self._pending[node] = {}

    def add_node(self, node: Node) -> None:
        """A worker is ready, which makes no difference here."""

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        self._collected += 1
        self._items += len(collection)
        self._pending[node] = dict(enumerate(collection))
        session: Any = self.config.pluginmanager.getplugin("session")
        session.testscollected = self._items
        node.send_runtest_all()  # for --setup-plan, where xdist's own loop runs
        node.shutdown()

    def schedule(self) -> None:
        """All is dealt out."""

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        del duration
        self._pending[node].pop(item_index, None)

    def mark_test_pending(self, item: str) -> None:
        """Only a plugin that runs a crashed test again asks for this: here its machine is gone."""
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        """Only xdist's own stealing of work asks for this."""
        raise NotImplementedError

    def remove_node(self, node: Node) -> str | None:
        """Forget a worker that has ended; the item that it was at, if it has crashed."""
        del self._pending[node]
        return self._crashed.pop(node, None)

    def crash(self, node: Node, started: set[str]) -> list[str]:
        """Note what a dead worker was at; the items that it did not come to."""
        pending = list(self._pending.get(node, {}).values()) or [f"worker {node.gateway.id}"]
        if at := next((nodeid for nodeid in pending if nodeid in started), None):
            self._crashed[node] = at
        return [nodeid for nodeid in pending if nodeid != at]


class Start:
    """Of all workers at once, when each has found that it can: one's refusal is everybody's."""

    def __init__(self) -> None:
        self.refusals: dict[str, None] = {}
        """Sentences; what several workers say is said once."""
        self._settled: set[Node] = set()
        self._lock = threading.Lock()  # workers are heard in threads of their own

    def settle(self, node: Node, refusals: Iterable[str] = ()) -> None:
        """A worker could begin, has refused, or is gone."""
        with self._lock:
            self.refusals.update(dict.fromkeys(refusals))
            waited_for = node not in self._settled
            self._settled.add(node)
            if waited_for and len(self._settled) == node.workerinput["workercount"]:
                _send(self._settled, worker.STOP if self.refusals else worker.BEGIN)


class Controller:
    """Registered in the controller of a session with builds."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._identity = run_identity.new(config.rootpath)
        self._shares = Shares(config)
        self._start = Start()
        self._capacity = dataclasses.astuple(computer.capacity())
        self._builds: dict[Node, Sequence[str]] = {}
        self._started: set[str] = set()
        self._failures = 0
        self._while_open = contextlib.ExitStack()
        self._max_failures = config.getoption("maxfail")
        config.option.maxworkerrestart = "0"  # a new worker would boot machines anew
        config.pluginmanager.register(Summary(config.rootpath, self._identity.id))
        self._terminal = Terminal(config, streams=False)
        config.pluginmanager.register(Turns(self._terminal))

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None]:
        self._while_open.enter_context(Signals().handled())
        yield
        junit.write_by_default(session)

    def pytest_unconfigure(self) -> None:
        self._while_open.close()

    def pytest_configure_node(self, node: Node) -> None:
        self._shares.expect(node)
        given: dict[str, Any] = node.workerinput
        given[worker.RUN] = tuple(self._identity)  # execnet takes no other kind
        given[worker.CAPACITY] = self._capacity
        given[worker.VAR_FILES] = variables.packed(self._config)
        channel = node.gateway.newchannel()
        ready = functools.partial(self._ready, node)
        channel.setcallback(worker.Feed(self._terminal, ready), endmarker=None)
        given[worker.EVENTS] = channel

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        try:
            with self._terminal:
                return (yield)
        finally:
            if self._start.refusals:
                raise pytest.UsageError(*self._start.refusals)

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self) -> Shares:
        return self._shares

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._started.add(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failures += report.failed
        if report.failed and self._failures == self._max_failures:
            self._stop(except_for=getattr(report, "node", None))

    def pytest_testnodedown(self, node: Node, error: object) -> None:
        output = node.workeroutput if error is None else {}
        self._start.settle(node, output.get(worker.REFUSAL, ()))
        if error is None:
            if output["shouldstop"] or output["shouldfail"]:
                self._stop()
        elif error != INTERRUPTED:
            for nodeid in self._shares.crash(node, self._started):
                self._report(nodeid, f"not run: worker {node.gateway.id} died")
            reason = f"worker {node.gateway.id} died before this build was over"
            manifest.give_up(
                self._config.rootpath, self._identity.id, self._builds.get(node, ()), reason
            )
            self._reap()

    def pytest_sessionfinish(self) -> None:
        self._reap()  # of workers that did not end in the time that they had

    def _ready(self, node: Node, builds: Sequence[str]) -> None:
        self._builds[node] = builds
        self._start.settle(node)

    def _stop(self, except_for: Node | None = None) -> None:
        _send((node for node in self._shares.nodes if node is not except_for), worker.STOP)

    def _report(self, nodeid: str, text: str) -> None:
        path, _, title = nodeid.partition("::")
        report = pytest.TestReport(nodeid, (path, None, title), {}, "failed", text, "call")
        self._config.hook.pytest_runtest_logreport(report=report)

    def _reap(self) -> None:
        for line in reaper.reap(journal.directory()):
            self._tell(line)

    def _tell(self, line: str) -> None:
        self._terminal(Notice("", line))
        self._terminal.catch_up()


def _send(nodes: Iterable[Node], command: str) -> None:
    for node in nodes:
        with contextlib.suppress(OSError):  # it has just ended
            node.sendcommand(command)
