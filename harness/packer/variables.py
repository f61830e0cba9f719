"""User variables: declared in the template, given by the caller, made of each other."""

from __future__ import annotations

import graphlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import TemplateError
from harness.packer.expressions import DeferredText, calls, no_variable, resolve_if_possible
from harness.packer.lexer import ExpressionError, NoValueError
from harness.packer.scope import NoValue, Scope
from harness.packer.syntax import Call, Literal, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from harness.packer.expressions import Origin
    from harness.packer.scope import Facts
    from harness.packer.values import Value


@dataclass(frozen=True)
class Variable:
    """A declared variable; ``default`` is None where a value must be given."""

    name: str
    value: Value
    default: str | None = field(repr=False)
    sensitive: bool = False


@dataclass(frozen=True)
class Given:
    """Where a given value comes from: not from the template. Its errors do not show it."""

    file: str
    name: str

    def error_in(self, index: int, message: str) -> TemplateError:
        what = f"{self.file}: the value given for variable {self.name!r}, character {index + 1}"
        return TemplateError(f"{what}: {message}", file=self.file)


@dataclass(frozen=True)
class Hidden:
    """A sensitive default. Its errors tell where it stands, and do not show the line."""

    value: Value

    def error_in(self, index: int, message: str) -> TemplateError:
        found = self.value.error_in(index, message)
        return TemplateError(
            str(found).split("\n", 1)[0], file=found.file, line=found.line, column=found.column
        )


def ways(name: str) -> str:
    """How Packer is given the value of a variable, for messages."""
    return f"give it with --var {name}=... or in a variable file"


def resolve_all(
    file: str,
    declared: Mapping[str, Variable],
    given: Mapping[str, str],
    facts: Facts,
    ways: Callable[[str], str] = ways,
) -> dict[str, str | DeferredText | NoValue]:
    """The value of every variable, declared or only given.

    Given values may have expressions in them, as defaults may. A value with fields (``{{.Name}}``)
    is kept, and gets them where it is used. What has no value, or is made of what has none (a
    variable of the environment that is not set, too), is an error where it is used, unless there
    it only decides something.

    Args:
        file: what messages call the template.
        declared: in it.
        given: values that win over defaults, already merged.
        facts: of the run.
        ways: how to give a variable, by its name, its value.

    Raises:
        TemplateError: a variable has a wrong expression; variables are made of each other in a
            circle, or of one that there is not.
    """
    defaults = {name: v.default for name, v in declared.items() if v.default is not None}
    texts = defaults | dict(given)
    missing = declared.keys() - texts.keys()
    origins = {name: _origin(file, name, declared, given) for name in texts}
    known = declared.keys() | texts
    needs = {name: _needs(text, origins[name], known) for name, text in texts.items()}
    needs |= {name: set() for name in missing}
    found: dict[str, str | DeferredText | NoValue] = {}
    scope = Scope(facts, found, in_variables=True, before_machine=True)
    for name in _order(file, needs, declared):
        if name in missing:
            found[name] = NoValue(f"the variable {name!r} has no value: {ways(name)}")
            continue
        value = resolve_if_possible(texts[name], scope, origins[name])
        found[name] = _why(value, name, ways) if isinstance(value, NoValueError) else value
    return found


def _why(error: NoValueError, name: str, ways: Callable[[str], str]) -> NoValue:
    if not error.unset:  # it is made of another one, which is the one to give
        return NoValue(error.message)
    set_it = f"{error.message}: set it, to nothing if that is meant, or {ways(name)}"
    return NoValue(f"the variable {name!r} has no value, since {set_it}")


def refuse_missing(declared: Mapping[str, Variable], given: Mapping[str, str]) -> None:
    """Refuse variables that must be given and are not, used or not, as Packer does.

    Raises:
        TemplateError: there is one.
    """
    missing = [v for v in declared.values() if v.default is None and v.name not in given]
    if missing:
        names = ", ".join(repr(variable.name) for variable in missing)
        what = "variable has" if len(missing) == 1 else "variables have"
        way = ways(missing[0].name)
        raise missing[0].value.key_error(f"the {what} no value: {names}; {way}")


def _origin(
    file: str, name: str, declared: Mapping[str, Variable], given: Mapping[str, str]
) -> Origin:
    if name in given:
        return Given(file, name)
    return Hidden(declared[name].value) if declared[name].sensitive else declared[name].value


def _needs(text: str, origin: Origin, known: Collection[str]) -> set[str]:
    """The variables that a text uses."""
    try:
        users = (call for call in calls(parse(text)) if call.name == "user" and call.arguments)
        return {_literal(call, known) for call in users}
    except ExpressionError as error:
        raise origin.error_in(error.index, error.message) from None


def _literal(call: Call, known: Collection[str]) -> str:
    name = call.arguments[0]
    if not isinstance(name, Literal):
        raise ExpressionError(call.index, "in variables, user takes a name as it is, no function")
    if name.value not in known:
        raise ExpressionError(call.index, no_variable(str(name.value), known))
    return str(name.value)


def _order(file: str, needs: Mapping[str, set[str]], declared: Mapping[str, Variable]) -> list[str]:
    try:
        return list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1][::-1]
    message = f"variables are made of each other: {' uses '.join(circle)}"
    for name in circle:
        if name in declared:
            raise declared[name].value.key_error(message)
    raise TemplateError(f"{file}: {message}", file=file)
