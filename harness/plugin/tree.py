"""The collection tree: what lies below a node, and the one node of each folder."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

FOLDERS = pytest.StashKey["Folders"]()


def _every(item: pytest.Item) -> bool:
    del item
    return True


def collect_once(collector: pytest.Collector, keep: Callable[[pytest.Item], bool] = _every) -> None:
    """Let a collector make its nodes once, whoever asks: pytest registers fixtures each time.

    ``keep`` says which of the items below it there are at all; default: every one.
    """
    original = collector.collect

    @functools.cache
    def nodes() -> tuple[pytest.Item | pytest.Collector, ...]:
        made = tuple(n for n in original() if isinstance(n, pytest.Collector) or keep(n))
        for node in made:
            if isinstance(node, pytest.Collector):
                collect_once(node, keep)
        return made

    collector.collect = nodes  # type: ignore[method-assign]  # this one node's, on purpose


def walk(collector: pytest.Collector) -> Iterator[pytest.Item]:
    """Every item below a collector, whatever was selected."""
    for node in collector.collect():
        if isinstance(node, pytest.Item):
            yield node
        else:
            yield from walk(node)


def folder(path: Path, session: pytest.Session) -> pytest.Collector:
    """The node of a folder, its conftest.py files loaded.

    Raises:
        CollectError: one of them cannot be imported.
    """
    return session.config.stash.setdefault(FOLDERS, Folders()).get(path, session)


class Folders:
    """Fixtures of a conftest.py belong to its folder's node: there must be but one."""

    def __init__(self) -> None:
        self._seen: dict[Path, pytest.Collector] = {}
        self._ours: dict[Path, pytest.Collector] = {}

    def note(self, path: Path, made: pytest.Collector | None) -> pytest.Collector | None:
        if path in self._ours:
            return self._ours[path]
        if made is not None:
            self._seen.setdefault(path, made)
        return made

    def get(self, path: Path, session: pytest.Session) -> pytest.Collector:
        if path not in self._ours:
            parent = self._parent(path, session)
            node = self._seen.get(path) or self._make(path, parent)
            report = node.ihook.pytest_make_collect_report(collector=node)  # loads its conftest.py
            if report.failed:
                raise node.CollectError(report.longreprtext)
            self._ours[path] = node
        return self._ours[path]

    def _parent(self, path: Path, session: pytest.Session) -> pytest.Collector:
        root = session.config.rootpath
        inside = path != root and path.is_relative_to(root)
        return self.get(path.parent, session) if inside else session

    def _make(self, path: Path, parent: pytest.Collector) -> pytest.Collector:
        return parent.ihook.pytest_collect_directory(path=path, parent=parent) or parent


@pytest.hookimpl(wrapper=True)
def pytest_collect_directory(
    path: Path, parent: pytest.Collector
) -> Generator[None, pytest.Collector | None, pytest.Collector | None]:
    made = yield
    return parent.config.stash.setdefault(FOLDERS, Folders()).note(path, made)
