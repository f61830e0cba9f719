"""Variables in a session: what the command line gives, and each build's values.

They are looked for once the selected builds are known, before anything else is done for them.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import pytest

from harness import environment, var_files
from harness.errors import ConfigurationError
from harness.given import Given, Namespace, Variables
from harness.plugin import options, worker
from harness.secret import MASK
from harness.substitution import resolved, told
from harness.variables import MADE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.declared import Declared
    from harness.plugin.collection import CollectedBuild
    from harness.variables import Variable

MODULES = pytest.StashKey[dict[pytest.Module, "Declared"]]()
"""What is declared in each module with builds; shared checks have what their build's module has."""
IN_VAIN = pytest.StashKey[dict[pytest.Module, list[str]]]()
"""Names of variables that modules without builds declare."""
FILES = pytest.StashKey["Sequence[var_files.VarFile]"]()
GIVEN = pytest.StashKey[Given]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "machine images")
    group.addoption(
        "--var",
        action="append",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help="give a variable (harness.var) its value; stronger than any --var-file",
    )
    group.addoption(
        "--var-file",
        action="append",
        default=[],
        metavar="FILE",
        help="give variables the values in a JSON, TOML or YAML file; of several a later one wins",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the files now, and once: a wrong one is told before anything is collected."""
    text = getattr(config, "workerinput", {}).get(worker.VAR_FILES)
    config.stash[FILES] = (
        _read(config) if text is None else [var_files.VarFile(*file) for file in json.loads(text)]
    )


def packed(config: pytest.Config) -> str:
    """What the files have, for workers."""
    return json.dumps(config.stash[FILES], default=str)


def _read(config: pytest.Config) -> list[var_files.VarFile]:
    folder = config.invocation_params.dir
    try:
        return [
            var_files.VarFile(f"--var-file {name}", var_files.read(folder / name))
            for name in config.getoption("var_file")
        ]
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="module")
def variables(request: pytest.FixtureRequest) -> Variables:
    """The values of the variables of this module's builds (harness.var), as attributes."""
    declared = request.config.stash.get(MODULES, {}).get(request.node)
    if declared is None:
        pytest.fail(
            f"{request.node.nodeid} takes `variables`, and has no builds: they belong to the "
            "module whose builds need them",
            pytrace=False,
        )
    return Variables(Namespace(declared.all(), given(request.config)))


def declare(module: pytest.Module, declared: Declared) -> Declared:
    """Note what a module's tests may read."""
    module.config.stash.setdefault(MODULES, {})[module] = declared
    return declared


def declare_in_vain(module: pytest.Module, names: Mapping[str, Any]) -> None:
    """Note what a module without builds declares: nobody can give it a value."""
    if made := names.get(MADE):
        module.config.stash.setdefault(IN_VAIN, {})[module] = [each.name for each in made]


def given(config: pytest.Config) -> Given:
    """All that is given, as it is when this is first asked for."""
    if GIVEN not in config.stash:
        config.stash[GIVEN] = Given(
            config.stash[options.SETTINGS].variables,
            environment.snapshot(),
            config.stash[FILES],
            dict(config.getoption("var")),
            worker.run(config).started,
        )
    return config.stash[GIVEN]


def settle(config: pytest.Config, builds: Sequence[CollectedBuild]) -> None:
    """Give selected builds the values of their variables.

    Raises:
        UsageError: a sentence for each value that is missing or wrong.
    """
    found = given(config)
    problems = [*refused(config)]
    for build in builds:
        build.variables = Namespace(build.file.declared.of_build(build.name), found)
    problems += _missing(builds) or _wrong(builds)
    if problems:
        raise pytest.UsageError(*dict.fromkeys(problems))


def warnings(config: pytest.Config) -> Iterator[str]:
    """What a person should know of the files; of several workers one says it."""
    if worker.number(config) == 0:
        yield from given(config).undeclared(_declared(config))


def refused(config: pytest.Config) -> Iterator[str]:
    """What ``--var`` gives and no module collected has declared."""
    try:
        given(config).refuse_undeclared(_declared(config))
    except ConfigurationError as error:
        yield str(error)


def _declared(config: pytest.Config) -> set[str]:
    """Of all modules collected, selected or not, so that every selection takes the same files."""
    return {name for d in config.stash.get(MODULES, {}).values() for name in d.all()}


def _missing(builds: Iterable[CollectedBuild]) -> list[str]:
    needed: dict[Variable, list[CollectedBuild]] = {}
    wrong = []
    for build in builds:
        try:
            for variable in build.variables.missing():
                needed.setdefault(variable, []).append(build)
        except ConfigurationError as error:
            wrong.append(str(error))
    return wrong + [_lacking(variable, those) for variable, those in needed.items()]


def _lacking(variable: Variable, builds: Sequence[CollectedBuild]) -> str:
    about = f" ({variable.description})" if variable.description else ""
    names = ", ".join(build.name for build in builds)
    need = "needs" if len(builds) == 1 else "need"
    ways = builds[0].variables.given.ways(variable)
    return f"the variable {variable.name!r}{about} has no value, and {names} {need} it: {ways}"


def _wrong(builds: Iterable[CollectedBuild]) -> list[str]:
    problems = []
    for build in builds:
        try:
            build.values_told = build.values_told or told(build.source, build.variables)
            build.source = resolved(build.source, build.variables).settled(build.variables)
        except ConfigurationError as error:
            problems.append(f"{build.name}: {error}")
    return problems


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        shown = f"{name}={MASK}" if equals else name
        raise argparse.ArgumentTypeError(f"{shown!r} is no NAME=VALUE, as in region=eu-north-1")
    return name.strip(), value
