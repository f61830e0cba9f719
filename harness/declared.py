"""The variables that a module's builds have: those of the module, and those of single builds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.given import suggestion
from harness.substitution import declared_in, named_in
from harness.variables import MADE, variables_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.definition import BuildDefinition
    from harness.variables import Variable


@dataclass(frozen=True)
class Declared:
    """The declarations of one module.

    A variable is the module's if one of its names holds it, or if the module declares it by
    itself, in no build's options. What is in the options of some builds only is theirs.

    Args:
        module: all declarations that are the module's.
        builds: those in each build's options, by the build's name.
        named: what texts in its options name, by option.
    """

    module: tuple[Variable, ...]
    builds: Mapping[str, tuple[Variable, ...]]
    named: Mapping[str, tuple[tuple[str, str], ...]]

    @classmethod
    def of(cls, names: Mapping[str, Any], definitions: Iterable[BuildDefinition]) -> Declared:
        """What is declared in a module that has these names and builds."""
        sources = {d.build_name(source): source for d in definitions for source in d.sources}
        builds = {build: tuple(declared_in(source)) for build, source in sources.items()}
        in_options = {id(variable) for declared in builds.values() for variable in declared}
        module = [
            *variables_in({n: value for n, value in names.items() if n != MADE}),
            *(v for v in names.get(MADE, ()) if id(v) not in in_options),
        ]
        named = {build: tuple(named_in(source)) for build, source in sources.items()}
        return cls(tuple(module), builds, named)

    def of_build(self, build: str) -> dict[str, Variable]:
        """By name, what a build knows."""
        return _by_name([*self.module, *self.builds[build]])

    def all(self) -> dict[str, Variable]:
        """By name, what the module's builds know together."""
        return _by_name([*self.module, *(v for own in self.builds.values() for v in own)])

    def problems(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        first: dict[str, Variable] = {}
        for each in (*self.module, *(v for own in self.builds.values() for v in own)):
            other = first.setdefault(each.name, each)
            if each != other:
                yield (
                    f"the variable {each.name!r} is declared in two ways, at {other.place} and at "
                    f'{each.place}: declare it once, as in NAME = harness.var("{each.name}"), and '
                    "use that"
                )
        for build, named in self.named.items():
            known = self.of_build(build)
            for option, name in named:
                if name not in known:
                    near = suggestion(name, known) or (
                        f'declare it in the module, harness.var("{name}")'
                    )
                    yield (
                        f"{build}: {option} has {{var.{name}}}, and there is no such variable: "
                        f"{near}"
                    )


def _by_name(variables: Iterable[Variable]) -> dict[str, Variable]:
    return {variable.name: variable for variable in variables}
