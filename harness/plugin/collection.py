"""From a module with builds to items: its stages beside its tests, in their order.

Stage items live in a collector of their own beside the module's. So pytest's own rule, that
whatever the next item does not need is finalised, ends every fixture of the module before the
image is taken.
"""

from __future__ import annotations

import functools
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from harness.declared import Declared
from harness.definition import ALL, BuildDefinition, definition_of, source_name
from harness.errors import ConfigurationError, TemplateError
from harness.follower import VARIABLES, Follower
from harness.given import Given, Namespace, Variables
from harness.plugin import checks, only, shares, tree, variables, worker
from harness.plugin.after_image import AfterImageItem
from harness.plugin.items import (
    BUILD,
    ImageItem,
    Position,
    ProvisionItem,
    StageItem,
    position,
)
from harness.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping


CONFTEST_BUILDS = pytest.StashKey[list[str]]()
BUILDS = pytest.StashKey[dict[str, "CollectedBuild"]]()
_StageItem = TypeVar("_StageItem", bound=StageItem)


class CollectedBuild:
    """A build as collection found it: one source, and all the tests that it must pass."""

    def __init__(
        self,
        definition: BuildDefinition,
        source: Source,
        file: BuildFile,
        tests: Iterable[pytest.Item],
    ) -> None:
        self.name = definition.build_name(source)
        self.definition = definition
        self.source = source
        self.file = file
        mine = [item for item in tests if item.stash.get(BUILD, None) == self.name]
        self.tests = [item.nodeid for item in mine]
        self.modules = {item.path for item in mine}
        modules = (item.getparent(pytest.Module) for item in mine)
        self.loaded = {id(m): m.obj for m in modules if m is not None}.values()
        """The modules themselves."""
        self.variables = Namespace()
        """With values once the run has them, as has the source then."""
        self.values_told = ""
        """For messages: which of them the source's options use."""

    def values(self, taker: BuildDefinition | Follower) -> dict[str, Variables]:
        """What a function gets by the name ``variables``, if it takes that."""
        return {VARIABLES: Variables(self.variables)} if taker.takes_variables else {}

    def function_item(self) -> pytest.Function:
        """A hidden item through which pytest resolves what the build function takes."""
        known = {"machine": None, **self.values(self.definition)}
        call = functools.partial(self.definition.function, **known)
        return self._hidden(self.definition.name, call, self.definition.arguments)

    def follower_item(self, follower: Follower) -> pytest.Function:
        """The same for a function that follows the image."""
        known = {"image": None, **self.values(follower)}
        call = functools.partial(follower.function, **known)
        return self._hidden(follower.name, call, follower.arguments)

    def _hidden(
        self, name: str, call: Callable[..., object], wanted: Collection[str]
    ) -> pytest.Function:
        item = pytest.Function.from_parent(
            self.file.module, name=f"{name}[{self.name}]", callobj=call
        )
        # Of the fixtures that apply by themselves only the session's: the module's are its tests'.
        item.fixturenames = [n for n in item.fixturenames if n in wanted or _is_session(item, n)]
        return item


class BuildFile(pytest.File):
    """The builds of one module."""

    module: pytest.Module
    items: list[pytest.Item]
    declared: Declared

    def collect(self) -> Iterable[pytest.Collector]:
        try:
            names = vars(self.module.obj)
        except ConfigurationError as error:
            self.module.collect = list  # type: ignore[method-assign]  # it would say so once more
            place = "" if isinstance(error, TemplateError) else f"{_place(self.path, error)}: "
            raise self.CollectError(f"{place}{error}") from error
        except Exception:  # noqa: BLE001 - the module itself reports why it cannot be imported
            return []
        for problem in _in_classes(names.values(), self.path):
            raise self.CollectError(problem)
        definitions = _definitions(names)
        for problem in _hidden(names.get(ALL, ()), definitions, self.path):
            raise self.CollectError(problem)
        if not definitions:
            variables.declare_in_vain(self.module, names)
            return []
        if worker.is_worker(self.config) and worker.identity(self.config) is None:
            raise self.CollectError(
                f"pytest-xdist does not know that {self.path} has builds: name the file, or a "
                "folder above it, on the command line, and write @harness.build(...), or "
                "name = harness.packer_template(...), at the beginning of a line"
            )
        for problem in (
            *_naming_problems(definitions, variables.given(self.config)),
            *_problems(definitions, self.path),
        ):
            raise self.CollectError(problem)
        self.declared = variables.declare(self.module, Declared.of(names, definitions))
        for problem in self.declared.problems():
            raise self.CollectError(f"{self.path}: {problem}")
        by_name = {d.name: d for d in definitions}
        tree.collect_once(self.module, keep=lambda item: only.belongs(item, by_name))
        self.items = list(tree.walk(self.module))
        for problem in self._assign_tests(by_name):
            raise self.CollectError(problem)
        return [self._build(definition) for definition in definitions]

    def _build(self, definition: BuildDefinition) -> Build:
        # Here and not in Build, which nobody collects where only a test was asked for.
        node: Build = Build.from_parent(self, name=definition.name)
        node.shared = checks.shared_checks(node, definition, self.declared)
        tests = [*self.items, *(i for s in node.shared for i in tree.walk(s.module))]
        builds = [CollectedBuild(definition, source, self, tests) for source in definition.sources]
        for problem in (*_argument_problems(builds[0]), *_sealed_problems(definition, tests)):
            raise self.CollectError(problem)
        known = self.config.stash.setdefault(BUILDS, {})
        for build in builds:
            other = known.setdefault(build.name, build)
            if other.file.path != self.path:
                raise self.CollectError(
                    f"two builds are named {build.name}: in {other.file.nodeid} and in "
                    f"{self.nodeid}; rename one of the functions"
                )
            known[build.name] = build
        node.builds = builds
        return node

    def _assign_tests(self, definitions: dict[str, BuildDefinition]) -> Iterator[str]:
        """Tell each test which build it belongs to; a sentence for each that has no answer."""
        for item in self.items:
            if checks.is_orphan(item):
                yield (
                    f"{item.nodeid} takes `host`, which would be this computer: take the build's "
                    f"fixture instead ({', '.join(definitions)})"
                )
            params = getattr(getattr(item, "callspec", None), "params", {})
            used = [n for n, p in params.items() if n in definitions and isinstance(p, Source)]
            if len(used) > 1:
                yield (
                    f"{item.nodeid} uses the builds {' and '.join(sorted(used))}: a test proves "
                    "one machine; write a test for each, or one build with several sources"
                )
            if not used and only.marked(item):
                yield (
                    f"{item.nodeid} is marked harness.only and uses no build of its module "
                    f"({', '.join(definitions)}): let it take the build's fixture"
                )
            for name in used:
                build = definitions[name].build_name(params[name])
                item.stash[BUILD] = build
                item.extra_keyword_matches.update((name, build))
            if not used and position(item) is Position.SEALED_TEST:
                yield (
                    f"{item.nodeid} is marked sealed and uses no build: take the fixture of the "
                    f"build whose sealed machine it is about ({', '.join(definitions)})"
                )
            yield from _wide_fixtures(item, definitions)
            yield from _without_parameters(item, definitions.keys() - set(used))


class Build(pytest.Collector):
    """The stages of one build, and the checks that it shares with others."""

    builds: list[CollectedBuild]
    shared: list[checks.SharedChecks]

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        assert isinstance(self.parent, BuildFile)
        names = {b.name for b in self.builds}
        nodes: list[pytest.Item | pytest.Collector] = [*self.shared]
        if self._is_asked_for_by_name():
            nodes += [i for i in self.parent.items if i.stash.get(BUILD, None) in names]
        kinds: tuple[type[StageItem], ...] = (ProvisionItem, ImageItem)
        stages = [self._stage(kind, b) for kind in kinds for b in self.builds]
        followers = [self._follower(f, b) for b in self.builds for f in b.definition.followers]
        return stages + nodes + followers

    def _follower(self, follower: Follower, build: CollectedBuild) -> StageItem:
        item = self._stage(AfterImageItem, build, follower.name)
        item.follower = follower
        item.function_item = functools.partial(build.follower_item, follower)
        item.values = functools.partial(build.values, follower)
        item.own_markers += follower.marks
        item.keywords.update({mark.name: mark for mark in follower.marks})
        return item

    def _stage(self, kind: type[_StageItem], build: CollectedBuild, stage: str = "") -> _StageItem:
        name = f"{stage or kind.stage}[{source_name(build.source)}]"
        item = kind.from_parent(self, name=name, nodeid=f"{self.nodeid}::{name}")
        item.line = build.definition.origin.line - 1
        item.stash[BUILD] = build.name
        item.extra_keyword_matches.update((build.definition.name, build.name))
        return item

    def _is_asked_for_by_name(self) -> bool:
        """Whether an argument reads ``file.py::web``, which means the whole build."""
        here = self.config.invocation_params.dir
        asked = (arg.partition("::") for arg in self.config.args)
        return any(rest == self.name and (here / p).resolve() == self.path for p, _, rest in asked)


def names_of_builds(session: pytest.Session) -> list[str]:
    """The builds that the session's items are of, as far as they were collected at all."""
    return [*dict.fromkeys(b for i in session.items if (b := i.stash.get(BUILD, None)))]


def selected_builds(session: pytest.Session) -> list[CollectedBuild]:
    """The same builds, without those that could not be collected."""
    known = session.config.stash.get(BUILDS, {})
    return [known[name] for name in names_of_builds(session) if name in known]


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    collectors = yield
    for node in collectors:
        # A module of tests, not of doctests, which derives from it.
        if isinstance(node, pytest.Module) and type(node).collect is pytest.Module.collect:
            file = BuildFile.from_parent(parent, path=file_path)
            file.module = node
            tree.collect_once(file)
            return [file, *collectors]  # first: it must see the module before it is collected
    return collectors


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """Note builds in a conftest.py, which no test module could own."""
    file = getattr(plugin, "__file__", None)
    if file is None or Path(file).name != "conftest.py":
        return
    config = manager.getplugin("pytestconfig")
    for value in list(vars(plugin).values()):
        if definition := definition_of(value):
            config.stash.setdefault(CONFTEST_BUILDS, []).append(
                f"{file}: the build {definition.name!r} is in a conftest.py; "
                "a build lives in the test module that uses it: move it there"
            )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if problems := config.stash.get(CONFTEST_BUILDS, None):
        raise pytest.UsageError(*problems)
    items[:] = dict.fromkeys(items)  # a whole build's tests may also have been named themselves


class Order:
    """Puts each build's items together, after everybody else has had their say."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        groups: dict[str | None, list[pytest.Item]] = {}
        for item in items:
            groups.setdefault(item.stash.get(BUILD, None), []).append(item)
        plain = groups.pop(None, [])
        items[:] = plain + [i for g in groups.values() for i in sorted(g, key=position)]
        if worker.identity(config) is not None:
            selected = [b for b in config.stash.get(BUILDS, {}).values() if b.name in groups]
            demands = {}
            if not session.testsfailed or config.option.continue_on_collection_errors:
                variables.settle(config, selected)
                demands = {b.name: b.source.local_demand() for b in selected}
            items[:] = shares.share(config, items, demands)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Order())
    config.addinivalue_line(
        "markers", "sealed: runs after a build's other tests, on the sealed machine"
    )
    config.addinivalue_line(
        "markers",
        f"{only.MARK}(*patterns): belongs only to builds of these names, source types or source "
        "names (harness.only)",
    )


def _definitions(names: Mapping[str, object]) -> list[BuildDefinition]:
    """Each build of a module once, and by now with a name."""
    found = {id(d): (name, d) for name, value in names.items() if (d := definition_of(value))}
    for name, definition in found.values():
        definition.call(name)
    return [definition for _, definition in found.values()]


def _naming_problems(definitions: Iterable[BuildDefinition], given: Given) -> Iterator[str]:
    """What keeps sources from having their names, which a template's variables may be part of."""
    for source in (source for definition in definitions for source in definition.sources):
        if isinstance(source, Source):
            try:
                source.call(given)
            except ConfigurationError as error:
                yield str(error)


def _problems(definitions: Iterable[BuildDefinition], path: Path) -> Iterator[str]:
    for definition in definitions:
        if definition.file != path.resolve():
            yield (
                f"{path}: the build {definition.name!r} is imported from {definition.file}; "
                "a build lives in the test module that uses it: move the tests there"
            )
        yield from (f"{path}: {problem}" for problem in definition.problems())


def _hidden(
    made: Iterable[BuildDefinition], found: Iterable[BuildDefinition], path: Path
) -> Iterator[str]:
    """Builds whose names the module has given to something else."""
    seen = {id(definition) for definition in found}
    for definition in made:
        if id(definition) not in seen and "." not in definition.function.__qualname__:
            line = definition.origin.line
            yield (
                f"{path}:{line}: the build {definition.name!r} is hidden by what takes its name "
                "further down: rename one of the two"
            )


def _in_classes(values: Iterable[object], path: Path) -> Iterator[str]:
    for value in values:
        if not isinstance(value, type):
            continue
        for member in list(vars(value).values()):
            if definition := definition_of(member):
                yield (
                    f"{path}: the build {definition.name!r} is in the class {value.__name__}: "
                    "a build is a function of the module; move it out"
                )


def _argument_problems(build: CollectedBuild) -> Iterator[str]:
    """Whether pytest can resolve what functions take, before any machine is there."""
    definition = build.definition
    where = f"{build.file.path}: the build {definition.name!r}"
    yield from _fixture_problems(where, build.function_item(), definition.arguments)
    for follower in definition.followers:
        where = f"{build.file.path}: {follower.name!r}, after the image of {definition.name!r},"
        yield from _fixture_problems(where, build.follower_item(follower), follower.arguments)


def _fixture_problems(
    where: str, item: pytest.Function, arguments: Collection[str]
) -> Iterator[str]:
    for name in arguments:
        if not item._fixtureinfo.name2fixturedefs.get(name):  # noqa: SLF001 - pytest has no other
            yield f"{where} takes {name!r}, and there is no fixture of that name"
        elif not _is_session(item, name):
            yield (
                f"{where} takes the fixture {name!r}, whose scope is not the session: "
                "such a function may take session fixtures only"
            )
    for name in item.fixturenames:
        fixtures = item._fixtureinfo.name2fixturedefs.get(name, ())  # noqa: SLF001 - as above
        if any(f.params for f in fixtures):
            yield (
                f"{where} depends on the parametrized fixture {name!r}: "
                "write a source for each variant instead, @harness.build(Qemu(name=...), ...)"
            )


def _sealed_problems(definition: BuildDefinition, tests: Iterable[pytest.Item]) -> Iterator[str]:
    """Tests of a sealed machine, where it will not be sealed."""
    builds = {definition.build_name(source) for source in definition.sources}
    for item in tests:
        its_own = item.stash.get(BUILD, None) in builds
        if its_own and position(item) is Position.SEALED_TEST and not definition.seal:
            yield (
                f"{item.nodeid} is marked sealed, and the build {definition.name!r} has "
                "seal=False: leave out one of the two"
            )


def _without_parameters(item: pytest.Item, builds: Iterable[str]) -> Iterator[str]:
    """Builds that a test needs and cannot have, since pytest does not parametrize it."""
    info = getattr(item, "_fixtureinfo", None)
    for name in sorted(set(builds) & set(info.names_closure if info else ())):
        if name not in getattr(getattr(item, "callspec", None), "params", {}):
            yield (
                f"{item.nodeid} needs the build {name!r} and cannot have it, as tests of a "
                "unittest.TestCase cannot: write a function, or a class without that base"
            )


def _wide_fixtures(item: pytest.Item, builds: Iterable[str]) -> Iterator[str]:
    """Fixtures that would outlive the machine that they depend on."""
    info = getattr(item, "_fixtureinfo", None)
    for name, fixtures in (info.name2fixturedefs if info else {}).items():
        for build in sorted({b for f in fixtures for b in f.argnames if b in builds}):
            if fixtures[-1].scope in ("session", "package"):
                yield (
                    f"the fixture {name!r} has the scope {fixtures[-1].scope!r} and takes the "
                    f"build {build!r}, whose machine goes with its module: give it the scope "
                    "'module', or a narrower one"
                )


def _place(path: Path, error: BaseException) -> str:
    """The last line of a module on the way to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if Path(f.filename) == path]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _is_session(item: pytest.Function, name: str) -> bool:
    fixtures = item._fixtureinfo.name2fixturedefs.get(name)  # noqa: SLF001 - as above
    return fixtures is not None and len(fixtures) > 0 and fixtures[-1].scope == "session"
