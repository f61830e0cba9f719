"""What somebody has given for variables, where, and which of it counts."""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness import conversion
from harness.errors import ConfigurationError, MissingValueError, UnknownVariableError
from harness.masking import Masker
from harness.secret import MASK, Secret, hidden, secrets_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.var_files import VarFile
    from harness.variables import Variable

ENVIRONMENT = "HARNESS_VAR_"
"""With the name behind it, a variable of the environment that gives any variable its value."""
DEFAULT = "default"
PROJECT = "[tool.harness.variables]"


@dataclass(frozen=True)
class Value:
    """What a variable has, and where from."""

    value: Any
    origin: str

    @property
    def is_default(self) -> bool:
        return self.origin == DEFAULT


@dataclass(frozen=True, repr=False)
class Given:
    """All that was given when a run started. Its repr shows none of it.

    Args:
        project: what the project's pyproject.toml has.
        environ: the environment.
        files: what each ``--var-file`` has, in their order.
        command_line: what ``--var`` gives.
        started: when that was, in seconds since 1970; 0: never, so that nothing that a value is
            made of differs from one time to another.
    """

    project: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[VarFile] = ()
    command_line: Mapping[str, str] = field(default_factory=dict)
    started: int = 0

    @functools.cached_property
    def at_no_time(self) -> Given:
        """The same without the moment."""
        return replace(self, started=0)

    def find(self, variable: Variable) -> Value | None:
        """The value that counts; None: there is none.

        Raises:
            ConfigurationError: it is wrong.
        """
        try:
            return self.value(variable)
        except MissingValueError:
            return None

    def value(self, variable: Variable) -> Value:
        """The same.

        Raises:
            MissingValueError: there is none.
            ConfigurationError: it is wrong.
        """
        found = self.written(variable)
        if found is None:
            about = f" ({variable.description})" if variable.description else ""
            raise MissingValueError(
                f"the variable {variable.name!r}{about} has no value: {self.ways(variable)}"
            )
        if variable.resolve is None:
            return found
        text = variable.resolve(self)
        return Value(conversion.convert(variable, text, found.origin), found.origin)

    def written(self, variable: Variable) -> Value | None:
        """The value as somebody has given it; it may be still to be resolved.

        Raises:
            ConfigurationError: it is of the wrong type.
        """
        for origin, values in reversed([*self._places(variable)]):
            if variable.name in values:
                given = values[variable.name]
                return Value(conversion.convert(variable, given, origin), origin)
        return None

    def _places(self, variable: Variable) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Where a value may be, the strongest last."""
        if variable.has_default:
            yield DEFAULT, {variable.name: variable.default}
        yield PROJECT, self.project
        for name in filter(None, (variable.env, f"{ENVIRONMENT}{variable.name}")):
            # An empty one is what is left of a secret that a CI system does not know.
            text = self.environ.get(name)
            yield name, {variable.name: text} if text else {}
        yield from self.files
        yield "--var", self.command_line

    def refuse_undeclared(self, declared: Iterable[str]) -> None:
        """Refuse what ``--var`` gives and nobody has declared.

        Raises:
            ConfigurationError: as it says.
        """
        known = sorted(set(declared))
        for name, text in self.command_line.items():
            if name not in known:
                there_is = f"there are {', '.join(known) or 'none at all'}"
                raise ConfigurationError(
                    f"--var {name}={MASK if text else ''}: the builds collected declare no such "
                    f"variable: {suggestion(name, known) or there_is}"
                )

    def undeclared(self, declared: Iterable[str]) -> Iterator[str]:
        """A sentence for each name in a file that nobody has declared.

        And for each in the environment that is nearly a declared one: others are somebody else's.
        """
        known = sorted(set(declared))
        for origin, values in self.files:
            for name in values:
                if name not in known:
                    near = suggestion(name, known)
                    yield (
                        f"warning: {origin} has {name!r}, which is no variable of the builds "
                        f"collected{f': {near}' if near else ''}"
                    )

        for name, text in self.environ.items():
            own = name.removeprefix(ENVIRONMENT)
            near = suggestion(own, known) if own != name and text and own not in known else ""
            if near:
                yield (
                    f"warning: {name} is set, and {own!r} is no variable of the builds collected: "
                    f"{near}"
                )

    def ways(self, variable: Variable) -> str:
        """Each way to give a variable its value; and what somebody may have meant for it."""
        name = variable.name
        own = f" or {variable.env}" if variable.env else ""
        ways = (
            f"give --var {name}=VALUE, --var-file FILE with it, {ENVIRONMENT}{name}{own} in the "
            f"environment, or {name} in {PROJECT} of pyproject.toml"
        )
        for origin, values in ((PROJECT, self.project), *self.files):
            if close := difflib.get_close_matches(name, values, n=1):
                return f"{ways} ({origin} has {close[0]!r}: is that what you meant?)"
        return ways


@dataclass(frozen=True)
class Namespace:
    """The variables that a build, or a module, knows, and their values."""

    declared: Mapping[str, Variable] = field(default_factory=dict)
    given: Given = field(default_factory=Given)

    def value(self, name: str) -> Value:
        """A variable's value.

        Raises:
            UnknownVariableError: it is not declared.
            ConfigurationError: it is missing, or of the wrong type.
        """
        __tracebackhide__ = True
        if name not in self.declared:
            known = ", ".join(sorted(self.declared)) or "none: declare it with harness.var"
            near = suggestion(name, self.declared)
            raise UnknownVariableError(
                f"there is no variable {name!r} here: {near or f'there are {known}'}"
            )
        return self.given.value(self.declared[name])

    def missing(self) -> Iterator[Variable]:
        """Those that nobody has given a value, whatever uses them."""
        yield from (v for v in self.declared.values() if self.given.written(v) is None)

    def shown(self) -> dict[str, Any]:
        """The values as JSON knows them, secrets masked; without those that are missing."""
        found = {name: self.given.find(v) for name, v in sorted(self.declared.items())}
        masked = self.masker().value
        return {name: masked(_as_json(value.value)) for name, value in found.items() if value}

    def inputs(self) -> dict[str, Any]:
        """The same, where only the moment at which a run starts makes no difference."""
        return replace(self, given=self.given.at_no_time).shown()

    def masker(self) -> Masker:
        """Of the secrets among the values: a text may be made of one."""
        masker = Masker()
        for _, secret in self.secrets():
            masker.hide(secret)
        return masker

    def secrets(self) -> Iterator[tuple[str, Secret]]:
        """Each secret among the values, with a name for messages."""
        for name, variable in self.declared.items():
            if variable.sensitive and (found := self.given.find(variable)):
                yield from secrets_in(f"the variable {name!r}", found.value)


class Variables:
    """The values of a build's variables, each an attribute.

    Build functions and tests have it by the name ``variables``. What is sensitive is a
    `harness.Secret`, or a list of them.

    Raises:
        ConfigurationError: of an attribute that is no variable (an `AttributeError` too), or whose
            value is missing.

    Example:
        ```python
        def test_the_release_is_right(web: harness.Host, variables: harness.Variables) -> None:
            assert web.system_info.release == variables.release
        ```
    """

    __slots__ = ("_namespace",)

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        if name.startswith("_"):
            raise AttributeError(name)
        return self._namespace.value(name).value

    def __dir__(self) -> list[str]:
        return sorted(self._namespace.declared)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._namespace.shown().items())
        return f"Variables({values})"


def suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _as_json(value: Any) -> Any:
    plain = hidden(value)
    return plain if isinstance(plain, str | int | float | list | None) else str(plain)
