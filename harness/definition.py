"""The decorator that makes a build out of a function, and what hangs on the decorated object."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar, cast

import pytest

from harness.errors import ConfigurationError
from harness.follower import NAME, NOT_CALLED, VARIABLES, Follower
from harness.seal import Seal
from harness.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from harness.assertions import Host

_Function = TypeVar("_Function", bound="Callable[..., object]")

ATTRIBUTE = "__harness_build__"
ALL = "__harness_builds__"
"""In a module: every build that it has made, though another may have taken its name since."""


class Machines(Protocol):
    """Whoever runs the builds of a session: hands a test the host of its machine."""

    def host(self, build: str, definition: BuildDefinition) -> Host: ...


MACHINES = pytest.StashKey[Machines]()
"""In the config's stash while a session runs builds."""

sealed = pytest.mark.sealed
"""Marks a test that runs after the others of its build, on the sealed machine.

The image is taken of exactly what it sees, and only if it passes. Fixtures begin anew: those of
the other tests are finalised before the seal.

Example:
    ```python
    @harness.sealed
    def test_no_host_key_is_shared(web: harness.Host) -> None:
        assert not web.file("/etc/ssh/ssh_host_ed25519_key").exists
    ```
"""

only = pytest.mark.only_builds
"""Marks a test that belongs only to builds with these names, source types or source names.

Patterns are globs, as for ``--only``. For other builds the test does not exist: it is neither
shown nor run, and their images need no pass of it. Several marks (of a class, say) must all fit.
A pattern that fits nothing there is, among the builds collected, is an error.

Example:
    ```python
    @harness.only("amazon-*")
    def test_the_agent_is_running(web: harness.Host) -> None:
        assert web.service("amazon-ssm-agent").is_running
    ```
"""


class Origin(NamedTuple):
    """Where a build was written: the file, the line (from 1), and what the module has."""

    file: Path
    line: int
    module: dict[str, Any]

    @classmethod
    def of(cls, function: Callable[..., None]) -> Origin:
        file = Path(inspect.getfile(function)).resolve()
        return cls(file, function.__code__.co_firstlineno, function.__globals__)


@dataclass(frozen=True)
class BuildDefinition:
    """A build as its author wrote it.

    ``directory`` is where relative paths start; ``warnings`` are told when the build is selected.
    """

    name: str
    function: Callable[..., None]
    sources: tuple[Source, ...]
    origin: Origin
    directory: Path
    untested: bool = False
    sudo: bool | str = False
    tests: tuple[str, ...] = ()
    seal: Seal | Literal[False] = field(default_factory=Seal)
    followers: list[Follower] = field(default_factory=list)
    """What runs once an image is there, in order; the module adds to it below the build."""
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """What it is made of beside the module."""
    provisioners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The types of those that are known before the function has run, by the source's name."""

    @property
    def file(self) -> Path:
        return self.origin.file

    def call(self, name: str) -> None:
        """Give it the name of what it is assigned to, if it has none of its own."""
        if not self.name:
            object.__setattr__(self, "name", name)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the function takes beside the machine and variables: names of session fixtures."""
        taken = tuple(inspect.signature(self.function).parameters)[1:]
        return tuple(name for name in taken if name != VARIABLES)

    @property
    def takes_variables(self) -> bool:
        return VARIABLES in tuple(inspect.signature(self.function).parameters)[1:]

    def after_image(self, function: _Function, /) -> _Function:
        """See `BuildFixture.after_image`."""
        self.followers.append(Follower(function))
        return function

    def host(self, request: pytest.FixtureRequest) -> Any:
        """What a fixture is whose parameters are the sources: the host of the machine."""
        machines = request.config.stash.get(MACHINES, None)
        if machines is None:
            pytest.skip("no machine is booted by --setup-only")
        return machines.host(self.build_name(request.param), self)

    def build_name(self, source: Source) -> str:
        return f"{self.name}.{source_name(source)}"

    def problems(self) -> Iterator[str]:
        """What is wrong with it, a sentence each."""
        takes = next(iter(inspect.signature(self.function).parameters), None)
        if takes != "machine":
            yield (
                f"the build {self.name!r} takes {takes or 'nothing'!r} as its first argument: "
                f"a build function is `def {self.name}(machine: harness.Machine) -> None`"
            )
        if any(kind(self.function) for kind in NOT_CALLED):
            yield (
                f"the build {self.name!r} is a generator or async function, which would never "
                "run: write a plain function without yield and async; what is after the tests is "
                "the image"
            )
        wrong = [s for s in self.sources if not _is_source(s)]
        if wrong or not self.sources:
            yield (
                f"the build {self.name!r} has {wrong[0] if wrong else 'no source'!r} "
                "where a source belongs: write @harness.build(harness.Qemu(...)), calls included"
            )
            return
        given: list[object] = [s.name for s in self.sources]
        if odd := next((name for name in given if not isinstance(name, str)), None):
            yield (
                f"the build {self.name!r} has a source named {odd!r}: builds are chosen by their "
                "names before anything else is known, so write the name itself"
            )
            return
        names = [source_name(s) for s in self.sources]
        for name in names:
            if not re.fullmatch(NAME, name):
                yield (
                    f"the build {self.name!r} has a source named {name!r}: a name is of letters, "
                    'digits, ".", "_" and "-", and begins with a letter or digit'
                )
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield (
                f"the build {self.name!r} has {names.count(name)} sources named {name!r}: "
                f'give each a name of its own, as in Qemu(..., name="{name}-2")'
            )
        yield from (f"the build {self.name!r} has {p}" for p in self._seal_problems())
        yield from self._follower_problems()

    def _seal_problems(self) -> Iterator[str]:
        chosen: object = self.seal
        if isinstance(chosen, Seal):
            yield from (f"a seal with {p}" for p in chosen.problems())
        elif chosen is not False:
            yield f"seal={self.seal!r}: write harness.Seal(keep=[...], also=[...]), True or False"

    def _follower_problems(self) -> Iterator[str]:
        problems = [p for f in self.followers for p in f.problems(self.name)]
        yield from problems
        names = [] if problems else [f.name for f in self.followers]
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield (
                f"the build {self.name!r} has {names.count(name)} functions named {name!r} that "
                "follow its image: give each a name of its own (of a post-processor: name=...)"
            )


class BuildFixture(Protocol):
    """What `build` returns: a pytest fixture; only tests may use it, by its name."""

    __name__: str

    def after_image(self, function: _Function, /) -> _Function:
        """Have a function run once the image is there, for each source; a decorator.

        The function is an item of its own (``web::publish[qemu]``), which runs, as tests do, in
        pytest's own thread: after the image was taken, and when no build waits to be tested. Where
        there is no image it is skipped, and says why. Its failure fails the run; the image stays.
        Several run in the order in which they are written, each whatever became of the others.

        Args:
            function: takes ``image`` (`harness.Image`) and, by name, unparametrised session
                fixtures and ``variables``, the values of the build's variables. Also a
                post-processor of `harness.post_processors`.

        Raises:
            ConfigurationError: at collection, in a sentence, where it could not run.

        Example:
            ```python
            @web.after_image
            def publish(image: harness.Image) -> None:
                shutil.copy(image.path, "/srv/images/")
            ```
        """


def build(
    *sources: Source,
    tests: Iterable[str] = (),
    sudo: bool | str = False,
    untested: bool = False,
    seal: Seal | bool = True,
) -> Callable[[Callable[..., None]], BuildFixture]:
    """Make a build out of a function that provisions a machine.

    The decorated function becomes a module-scoped pytest fixture: in tests it is a testinfra
    `Host` of the provisioned machine, once for each source. The image is taken after the last
    test of the module that uses it, and only if all of them passed.

    Beside ``machine`` the function may take unparametrised session fixtures, by name, and
    ``variables``, the values of its variables (`harness.var`).

    What it prints, logs and warns goes to the build's log, and to no test that runs meanwhile; no
    warning is an error in it. That holds for its own thread: what threads and processes that it
    starts itself print is pytest's (`Machine.local` runs commands whose output is the build's).

    Args:
        sources: where machines come from; their names must differ (``Qemu(name=...)``).
        tests: modules, or folders of them, with checks that builds share; relative paths start at
            the build's file. In them ``host`` is the build's machine, as in any testinfra suite,
            and they count like tests of the build's own.
        sudo: in tests, be root, or the user of that name, on the machine. Nothing changes for
            somebody who is that user already. Default: whoever is logged in.
        untested: allow an image although no test uses the build. Default: no test, no image.
        seal: what is removed from the machine before its image is taken (`harness.Seal`).
            Default: everything that building leaves; False: nothing.

    In tests each command (``host.run``) may take 300 seconds. What the machine said of a package, a
    user or a group counts for ten seconds, within one test and until the test runs a command that
    may change something; services, sockets, files and all else are always asked afresh.

    Raises:
        ConfigurationError: at collection, in a sentence, where a build cannot work.

    Example:
        ```python
        @harness.build(harness.Qemu(base="debian-12"))
        def web(machine: harness.Machine) -> None:
            machine.shell("apt-get update", "apt-get install -y nginx", sudo=True)

        def test_nginx_is_running(web: harness.Host) -> None:
            assert web.service("nginx").is_running
        ```
    """
    first: object = next(iter(sources), None)
    if inspect.isfunction(first):
        raise ConfigurationError(
            f"@harness.build above {first.__name__!r} has no parentheses: write "
            "@harness.build(harness.Qemu(...)), with one source or more"
        )

    def decorate(function: Callable[..., None]) -> BuildFixture:
        if not inspect.isfunction(function):
            raise ConfigurationError(
                f"@harness.build decorates {function!r}: it makes a fixture of a plain function, "
                "so leave out @pytest.fixture and other decorators"
            )
        origin = Origin.of(function)
        definition = BuildDefinition(
            name=function.__name__,
            function=function,
            sources=sources,
            origin=origin,
            directory=origin.file.parent,
            untested=untested,
            sudo=sudo,
            tests=(tests,) if isinstance(tests, str) else tuple(tests),
            seal=Seal() if seal is True else seal,
        )
        origin.module.setdefault(ALL, []).append(definition)
        return make_fixture(definition)

    return decorate


def make_fixture(definition: BuildDefinition) -> BuildFixture:
    """The fixture that a build is to pytest; one without a name has that of its place."""

    def fixture(request: pytest.FixtureRequest) -> Any:
        return definition.host(request)

    fixture.__name__ = definition.name or definition.function.__name__
    fixture.__doc__ = definition.function.__doc__
    fixture.__module__ = definition.origin.module["__name__"]
    made = pytest.fixture(
        scope="module", params=definition.sources, ids=source_name, name=definition.name or None
    )(fixture)
    # pytest matches its class exactly: what hangs on a build is attributes of the object.
    vars(made).update({ATTRIBUTE: definition, "after_image": definition.after_image})
    return cast("BuildFixture", made)


def source_name(source: Source) -> str:
    """A source's name: its ``name``, or its type."""
    # What is no source has been collected by mistake, and `problems` will say so.
    return source.name or source.type if _is_source(source) else repr(source)


def _is_source(thing: object) -> bool:
    return isinstance(thing, Source)


def definition_of(thing: object) -> BuildDefinition | None:
    """The build behind a decorated object; None for anything else."""
    found = getattr(thing, "__dict__", {}).get(ATTRIBUTE)
    return found if isinstance(found, BuildDefinition) else None
