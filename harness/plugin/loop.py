"""The run loop: each build's items as it becomes ready."""

from __future__ import annotations

import collections
import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from harness.plugin import worker
from harness.plugin.after_image import AfterImageItem, conclude
from harness.plugin.collection import names_of_builds, selected_builds
from harness.plugin.items import BUILD, ImageItem, Position, position
from harness.plugin.signals import Signals

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from harness.lifecycle import BuildRun
    from harness.plugin.collection import CollectedBuild
    from harness.plugin.session import BuildSession

_NOTHING_TESTED = "none of its tests was selected"


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Take over where builds are selected; else leave everything to pytest."""
    option = session.config.option
    if not names_of_builds(session) or option.collectonly or option.setuponly or option.setupplan:
        worker.tell_ready(session.config)
        return None
    if session.testsfailed and not option.continue_on_collection_errors:
        return worker.is_worker(session.config) or None  # pytest's own loop says so

    from harness.plugin import junit, variables
    from harness.plugin.session import BuildSession

    builds = selected_builds(session)
    variables.settle(session.config, builds)
    signals = Signals()
    with (
        signals.handled(),
        worker.connected(session) as one_of_several,
        BuildSession(session.config, builds, one_of_several) as build_session,
    ):
        junit.write_by_default(session)
        Loop(session, build_session, builds, signals).run()
    return True


class Loop:
    """One session's items, in the order in which their builds become ready."""

    def __init__(
        self,
        session: pytest.Session,
        builds: BuildSession,
        collected: Sequence[CollectedBuild],
        signals: Signals,
    ) -> None:
        self._session = session
        self._builds = builds
        self._collected = collected
        self._signals = signals
        self._groups: dict[str | None, list[pytest.Item]] = {}
        for item in session.items:
            name = item.stash.get(BUILD, None)
            self._groups.setdefault(name if name in builds.runs else None, []).append(item)
        self._following: collections.deque[AfterImageItem] = collections.deque()
        self._current: pytest.Item | None = None
        self._left = len(session.items)
        builds.adopt(session.items)
        # The next item whenever the real one is not known yet: only the session's fixtures stay.
        self._boundary = Boundary.from_parent(session, name="boundary", nodeid="boundary")

    def run(self) -> None:
        try:
            self._start_builds()
            self._run_items(self._groups.get(None, []))
            self._run_builds()
        except BaseException:
            self._signals.ignore()  # what they could ask for is done
            self._builds.cancel.cancel()
            self._finalise()
            raise

    def _start_builds(self) -> None:
        for build in self._collected:
            run = self._builds.runs[build.name]
            if all(isinstance(i, ImageItem | AfterImageItem) for i in self._groups[run.name]):
                reason = f"{_NOTHING_TESTED}: no image was taken{run.gate.way_out}"
                self._builds.scheduler.skip(run, reason)
                continue
            try:
                arguments = {
                    **self._arguments(build.function_item(), build.definition.arguments),
                    **build.values(build.definition),
                }
            except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:  # noqa: BLE001
                self._builds.scheduler.fail(run, error)
            else:
                self._builds.scheduler.start(run, arguments)
        self._builds.tell_who_waits()

    def _arguments(self, item: pytest.Function, names: tuple[str, ...]) -> dict[str, Any]:
        """What a function takes, resolved by pytest on the main thread through a hidden item."""
        try:
            item.ihook.pytest_runtest_setup(item=item)
            return {name: item.funcargs[name] for name in names}
        finally:
            item.ihook.pytest_runtest_teardown(item=item, nextitem=self._boundary)

    def _run_builds(self) -> None:
        courses = {run.name: self._course(run) for run in self._builds.runs.values()}
        try:
            for run, finished in self._builds.scheduler.news():
                # Of a build that has finished there is no further news to wait for.
                for _ in itertools.islice(courses[run.name], None if finished else 1):
                    pass
                self._follow()
        finally:
            for course in courses.values():
                course.close()

    def _course(self, run: BuildRun) -> Generator[None]:
        """Run a build's items; it yields where they wait for news of the build."""
        items = self._groups[run.name]
        sealed = [i for i in items if position(i) is Position.SEALED_TEST]
        images = [i for i in items if position(i) is Position.IMAGE]
        try:
            self._run_items([i for i in items if position(i) < Position.SEALED_TEST])
            if sealed:
                run.seal()
                yield
                self._run_items(sealed)
        finally:
            run.report_tests()
        if images:
            run.decide()
        else:
            run.release(f"image[{run.name.partition('.')[2]}] was not selected")
        yield
        self._run_items(images)
        run.release("")  # of a machine that was kept for a look at its failure
        self._following += [i for i in items if isinstance(i, AfterImageItem)]

    def _follow(self) -> None:
        """Run what follows images, while there is no machine that waits for its tests."""
        while self._following and not self._builds.scheduler.has_news:
            item = self._following.popleft()
            item.prepare(self._arguments)
            self._run_items([item])
            if all(i.build != item.build for i in self._following):
                items = self._groups[item.build]
                conclude(
                    self._builds.runs[item.build],
                    (i for i in items if isinstance(i, AfterImageItem)),
                )

    def _run_items(self, items: Sequence[pytest.Item]) -> None:
        for item, after in itertools.pairwise([*items, self._boundary]):
            self._current = item
            self._left -= 1
            self._signals.listen()
            # With the last of all, whichever it turns out to be, the session's fixtures end too.
            nextitem = after if self._left else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
            if self._session.shouldfail:
                raise self._session.Failed(self._session.shouldfail)
            if self._session.shouldstop:
                raise self._session.Interrupted(self._session.shouldstop)

    def _finalise(self) -> None:
        """End the fixtures of an interrupted test; what they say no longer matters."""
        item = self._current
        if item is not None:
            with contextlib.suppress(Exception, pytest.fail.Exception, pytest.skip.Exception):
                item.ihook.pytest_runtest_teardown(item=item, nextitem=self._boundary)


class Boundary(pytest.Item):
    """The item between two builds; never run."""

    def runtest(self) -> None: ...
