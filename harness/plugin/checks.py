"""Shared checks: test modules that builds name in ``tests=``, collected for each of them.

Below a build such a module has an id of its own (``test_web.py::web::checks/base::test_x[qemu]``),
so what it did on one build's machine is never taken for another's. In it ``host`` is the machine;
anywhere else below builds a ``host`` that nobody defines would be this computer, and is refused.
"""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.definition import BuildDefinition, source_name
from harness.plugin import only, tree, variables
from harness.plugin.items import BUILD
from harness.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.declared import Declared

THIS_COMPUTER = "_testinfra_host"
"""The fixture below testinfra's own ``host``."""
_BUILD = re.compile(r"^(@(\w+\.)?build|\w+ *= *(\w+\.)?packer_template)\(", re.MULTILINE)

SHARED = pytest.StashKey[set[Path]]()
"""The modules that the session's builds share."""
HAVE_BUILDS = pytest.StashKey[dict[Path, bool]]()
"""Folders, and whether a module in them has builds."""
ORPHANS = pytest.StashKey[dict[str, Path]]()
"""Tests (by id, without parameters) whose ``host`` would be this computer, and their modules."""


class SharedChecks(pytest.Collector):
    """A shared module as a build sees it.

    No file to pytest: ``--lf`` passes over files by their path, which is not the build's.
    """

    module: pytest.Module

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        return self.module.collect()


def shared_checks(
    build: pytest.Collector, definition: BuildDefinition, declared: Declared
) -> list[SharedChecks]:
    """What a build names in ``tests=``, its tests assigned to the build's sources.

    Args:
        build: the build's node.
        definition: the build.
        declared: the variables that its tests may read, wherever they lie.

    Raises:
        CollectError: a module that does not exist, cannot be imported, or is no shared check.
    """
    made = [_node(build, definition, path) for path in _files(build, definition)]
    for node in made:
        variables.declare(node.module, declared)
        try:
            problem = next(_assign(node.module, definition), None)
        except pytest.skip.Exception as skipped:
            problem = (
                f"{node.module.path}: the build {definition.name!r} shares it, and it skips itself "
                f"as a whole ({skipped.msg}): mark its tests with skipif, or leave it out of tests="
            )
        if problem:
            raise node.CollectError(problem)
    return made


def _files(build: pytest.Collector, definition: BuildDefinition) -> dict[Path, None]:
    """Each module once, in the order in which they are named."""
    found = {}
    for entry in definition.tests:
        path = Path(os.path.normpath(build.path.parent / entry))
        modules = sorted(_modules(path, build.config)) if path.is_dir() else [path]
        if not modules or not all(module.is_file() for module in modules):
            raise build.CollectError(
                f"{build.path}: the build {definition.name!r} has {entry!r} in its tests=: "
                f"{path} is {'a folder without test modules' if path.is_dir() else 'no file'}"
            )
        found.update(dict.fromkeys(modules))
    return found


def _modules(folder: Path, config: pytest.Config) -> Iterator[Path]:
    patterns = config.getini("python_files")
    for path in folder.rglob("*.py"):
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns):
            yield path


def _node(build: pytest.Collector, definition: BuildDefinition, path: Path) -> SharedChecks:
    # Without its ending: JUnit's readers take what follows the last dot for the class.
    name = os.path.relpath(path.with_suffix(""), build.path.parent).replace(os.sep, "/")
    node: SharedChecks = SharedChecks.from_parent(build, name=name)
    # Its parents are the folders that it lies in, whose conftest.py files it may rely on.
    folder = tree.folder(path.parent, build.session)
    _rewrite_asserts(path, build.config)
    node.module = pytest.Module.from_parent(folder, path=path, name=name, nodeid=node.nodeid)
    tree.collect_once(node.module, keep=lambda i: only.belongs(i, {"host": definition}))

    def host(request: pytest.FixtureRequest) -> Any:
        return definition.host(request)

    pytest.register_fixture(
        name="host",
        func=host,
        node=node.module,
        scope="module",
        params=definition.sources,
        ids=source_name,
        autouse=True,  # so that each of its tests belongs to the build
    )
    build.config.stash.setdefault(SHARED, set()).add(path)
    return node


def _rewrite_asserts(path: Path, config: pytest.Config) -> None:
    """Failing asserts explain themselves in modules too that are not named like tests."""
    below = [p.name for p in path.parents if p.is_relative_to(config.rootpath)]
    names = [path.stem, *below]
    pytest.register_assert_rewrite(
        *(".".join(reversed(names[:length])) for length in range(1, len(names) + 1))
    )


def _assign(module: pytest.Module, definition: BuildDefinition) -> Iterator[str]:
    """Tell each test which build it belongs to; a sentence for each that has no answer."""
    for item in tree.walk(module):
        params = getattr(getattr(item, "callspec", None), "params", {})
        source = params.get("host")
        if not isinstance(source, Source) or _redefined(item):
            yield (
                f"{module.path}: the build {definition.name!r} shares it, and `host` there is the "
                f"build's machine, but {item.name} cannot take it: the module, its conftest.py or "
                "a parametrize mark has a `host` of its own, or it is a unittest.TestCase"
            )
            return
        build = definition.build_name(source)
        item.stash[BUILD] = build
        item.extra_keyword_matches.update((definition.name, build))
        path, line, title = item.location
        item.location = path, line, f"{title} of {build}"  # the headline of a failure


def _redefined(item: pytest.Item) -> bool:
    """Whether somebody's ``host`` stands between testinfra's and ours, and would not be used."""
    info = getattr(item, "_fixtureinfo", None)
    found = info.name2fixturedefs["host"] if info else ()
    return any(d.func.__module__ not in (__name__, "testinfra.plugin") for d in found)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Keep testinfra from taking this computer, or hosts of its own, where a machine is meant."""
    config, path = metafunc.config, metafunc.definition.path
    if THIS_COMPUTER not in metafunc.fixturenames or config.getoption("hosts", None):
        return
    if _is_below_builds(path, config):
        metafunc.fixturenames.remove(THIS_COMPUTER)
        config.stash.setdefault(ORPHANS, {})[metafunc.definition.nodeid] = path


def is_orphan(item: pytest.Item) -> bool:
    """Whether a test takes a ``host`` that is no build's machine."""
    return item.nodeid.partition("[")[0] in item.config.stash.get(ORPHANS, {})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave shared modules to their builds, and refuse what is left without a machine."""
    if not config.getoption("hosts", None):
        shared = {p for p in config.stash.get(SHARED, set()) if _is_below_builds(p, config)}
        items[:] = [i for i in items if BUILD in i.stash or i.path not in shared]
    orphans = {item.path: item for item in reversed(items) if is_orphan(item)}
    if orphans and not session.testsfailed:  # else pytest stops all the same, and says why
        raise pytest.UsageError(*(_refusal(item) for item in orphans.values()))


def _refusal(item: pytest.Item) -> str:
    return (
        f"{item.nodeid} takes `host`, which is a machine in shared checks only and would here be "
        "this computer: name the file in the tests=[...] of a build and run that "
        "(pytest FILE::BUILD), or let the test take its build's fixture"
    )


def _is_below_builds(path: Path, config: pytest.Config) -> bool:
    known = config.stash.setdefault(HAVE_BUILDS, {})
    folders = [p for p in path.parents if p.is_relative_to(config.rootpath)]
    for folder in folders:
        if folder not in known:
            known[folder] = any(map(has_builds, folder.glob("*.py")))
    return any(known[folder] for folder in folders)


def has_builds(module: Path) -> bool:
    """From its text, since it may not be imported this time."""
    text = module.read_text(encoding="utf-8", errors="replace") if module.is_file() else ""
    return "harness" in text and _BUILD.search(text) is not None
