"""Expressions get their values: what is known when a plan is made at once, fields later.

A text such as ``chmod +x {{.Path}}; {{user `env`}} {{.Path}}`` is folded to a `DeferredText`: all
that depends on no field is in it already, and checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from harness.packer import functions
from harness.packer.lexer import ExpressionError, NoValueError
from harness.packer.position import nearest
from harness.packer.scope import Budget, NoValue, Scope
from harness.packer.syntax import Call, Expression, Field, If, Literal, Node, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.errors import TemplateError
    from harness.packer.values import Value

MAX_DEPTH = 50
"""How many variables with fields may be made of each other."""
DECIDING = frozenset({"and", "or", "not", "eq", "ne"})
"""Functions whose author has thought of what is empty."""
MAX_WAITING = 10_000
"""How many expressions a text may have that wait for fields, those of its variables included."""


class Origin(Protocol):
    """Where a text comes from, for errors in it."""

    def error_in(self, index: int, message: str) -> TemplateError: ...


@dataclass(frozen=True)
class DeferredText:
    """A text with fields, which get their values when it is used.

    ``fields`` are the names of those it uses, be they written ``{{.Path}}`` or {{build `Host`}}.
    """

    text: str
    nodes: tuple[Node, ...] = field(repr=False)
    scope: Scope = field(repr=False)
    origin: Origin = field(repr=False, compare=False)
    fields: frozenset[str] = frozenset()
    depth: int = field(default=1, repr=False)
    waiting: int = field(default=1, repr=False)

    def __str__(self) -> str:
        return self.text

    def render(self, fields: Mapping[str, object], budget: Budget | None = None) -> str:
        """The text with the fields' values in it.

        Raises:
            TemplateError: it uses a field that was not given, or in a way that is not possible.
        """
        scope = replace(self.scope, budget=budget or Budget())
        try:
            return "".join(_render(self.nodes, scope, fields))
        except ExpressionError as error:
            raise self.origin.error_in(error.index, error.message) from None


def resolve(text: str, scope: Scope, origin: Origin) -> str | DeferredText:
    """What a text comes to where it stands.

    Raises:
        TemplateError: an expression in it is wrong, or uses what there is not.
    """
    found = resolve_if_possible(text, scope, origin)
    if isinstance(found, NoValueError):
        raise origin.error_in(found.index, found.message)
    return found


def resolve_if_possible(
    text: str, scope: Scope, origin: Origin
) -> str | DeferredText | NoValueError:
    """The same; where it uses what has no value, that.

    Raises:
        TemplateError: as `resolve` does otherwise.
    """
    try:
        nodes = parse(text)
        for call in calls(nodes):
            _find(call)
        folded = tuple(_fold(nodes, scope))
        if all(isinstance(node, str) for node in folded):
            return "".join(map(str, folded))
        return _deferred(text, folded, scope, origin)
    except NoValueError as error:
        return error
    except ExpressionError as error:
        raise origin.error_in(error.index, error.message) from None


def _deferred(text: str, folded: tuple[Node, ...], scope: Scope, origin: Origin) -> DeferredText:
    used = list(_used(folded, scope))
    variables = [one for one in used if isinstance(one, DeferredText)]
    names = {one for one in used if isinstance(one, str)}.union(*(v.fields for v in variables))
    depth = 1 + max((v.depth for v in variables), default=0)
    waiting = len(used) + sum(v.waiting for v in variables)
    if depth > MAX_DEPTH:
        raise ExpressionError(0, f"more than {MAX_DEPTH} variables with fields use each other")
    if waiting > MAX_WAITING:
        raise ExpressionError(0, f"more than {MAX_WAITING} expressions of this text have fields")
    return DeferredText(text, folded, scope, origin, frozenset(names), depth, waiting)


def resolve_value(value: Value, scope: Scope) -> Value:
    """A value of a template with all its texts resolved, names in objects included.

    Raises:
        TemplateError: as `resolve` does; or two names of an object come to the same.
    """
    data = value.data
    if isinstance(data, str):
        return replace(value, data=resolve(data, scope, value)) if "{{" in data else value
    if isinstance(data, tuple):
        return replace(value, data=tuple(resolve_value(entry, scope) for entry in data))
    if isinstance(data, dict):
        return replace(value, data=dict(_entries(data, scope)))
    return value


def _entries(entries: Mapping[str, Value], scope: Scope) -> Iterator[tuple[str, Value]]:
    seen = set()
    for name, value in entries.items():
        shown = resolve(name, scope, replace(value, offset=value.key))
        if isinstance(shown, DeferredText):
            raise value.key_error("a name cannot have fields: they are known too late")
        if shown in seen:
            raise value.key_error("this name comes to the same as one before it")
        seen.add(shown)
        yield shown, resolve_value(value, scope)


def calls(nodes: Iterable[Node]) -> Iterator[Call]:
    """All calls in a text."""
    for node in nodes:
        if isinstance(node, Call):
            yield node
            yield from calls(node.arguments)
        elif isinstance(node, If):
            yield from calls([node.condition, *node.body, *node.otherwise])


def _find(call: Call) -> None:
    try:
        functions.find(call.name)
    except ValueError as error:
        raise ExpressionError(call.index, str(error)) from None


def _fold(nodes: Iterable[Node], scope: Scope) -> Iterator[Node]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, If):
            condition = _simplify(node.condition, replace(scope, only_asked=True))
            if isinstance(condition, Literal):
                yield from _fold(node.body if condition.value else node.otherwise, scope)
            else:
                body, otherwise = (tuple(_fold(n, scope)) for n in (node.body, node.otherwise))
                yield If(condition, body, otherwise)
        else:
            found = _simplify(node, scope)
            yield functions.text(found.value) if isinstance(found, Literal) else found


def _simplify(node: Expression, scope: Scope) -> Expression:
    """The same with everything in its place that depends on no field."""
    if isinstance(node, Field) and node.name == "CreateTime" and scope.build_type:
        return _simplify(Call("timestamp", (), node.index), scope)  # its old name
    if not isinstance(node, Call):
        return node
    if node.name == "build" and scope.before_machine:
        message = "build works in provisioners and post-processors alone: there is no machine yet"
        raise ExpressionError(node.index, message)
    if node.name in DECIDING:
        scope = replace(scope, only_asked=True)
    if node.name in ("and", "or") and node.arguments:
        return _decided(node, scope)
    simple = replace(node, arguments=tuple(_simplify(a, scope) for a in node.arguments))
    if _waits(simple, scope):
        return simple
    return Literal(_evaluate(simple, scope, {}), node.index)


def _decided(node: Call, scope: Scope) -> Expression:
    """An `and` or `or`, which looks at no values behind the one that decides it."""
    values: list[Expression] = []
    for argument in node.arguments:
        values.append(_simplify(argument, scope))
        if isinstance(values[-1], Literal) and bool(values[-1].value) == (node.name == "or"):
            break
    known = all(isinstance(value, Literal) for value in values)
    return values[-1] if known else replace(node, arguments=tuple(values))


def _waits(call: Call, scope: Scope) -> bool:
    """Whether a call, its arguments simplified, depends on fields."""
    values = [a.value for a in call.arguments if isinstance(a, Literal)]
    if len(values) < len(call.arguments) or call.name == "build":
        return True
    is_user = call.name == "user" and len(values) == 1
    return is_user and isinstance(scope.variables.get(str(values[0])), DeferredText)


def _render(nodes: Iterable[Node], scope: Scope, fields: Mapping[str, object]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, If):
            condition = _evaluate(node.condition, scope, fields)
            yield from _render(node.body if condition else node.otherwise, scope, fields)
        else:
            yield functions.text(_evaluate(node, scope, fields))


def _evaluate(node: Expression, scope: Scope, fields: Mapping[str, object]) -> str | int | bool:
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Field):
        return _field(node.name, node.index, fields)
    arguments: list[str | int | bool] = []
    for argument in node.arguments:
        arguments.append(_evaluate(argument, scope, fields))
        if node.name in ("and", "or") and bool(arguments[-1]) == (node.name == "or"):
            break
    try:
        made = functions.call(node.name, scope, arguments)
    except functions.UnsetError as error:
        message = f"{error} is not set in the environment"
        raise NoValueError(node.index, message, unset=str(error)) from None
    except ValueError as error:
        raise ExpressionError(node.index, str(error)) from None
    if node.name in ("and", "or"):
        return arguments[-1]
    if node.name == "build":
        return _field(str(arguments[0]), node.index, fields)
    if node.name == "user":
        return _variable(str(arguments[0]), node.index, scope, fields)
    return made


def _field(name: str, index: int, fields: Mapping[str, object]) -> str | int | bool:
    if name not in fields:
        way = nearest(name, fields, what="known are")
        raise ExpressionError(index, f"the field {name!r} is not known here; {way}")
    value = fields[name]
    return value if isinstance(value, int | str) else str(value)


def no_variable(name: str, known: Iterable[str]) -> str:
    """The message for a variable that there is not."""
    return f"there is no variable {name!r}; {nearest(name, known, what='declared are')}"


def _variable(name: str, index: int, scope: Scope, fields: Mapping[str, object]) -> str:
    if name not in scope.variables:
        raise ExpressionError(index, no_variable(name, scope.variables))
    variable = scope.variables[name]
    if isinstance(variable, NoValue):
        if scope.only_asked:
            return ""
        raise NoValueError(index, variable.why)
    text = variable if isinstance(variable, str) else variable.render(fields, scope.budget)
    try:
        scope.budget.spend(len(text))
    except ValueError as error:
        raise ExpressionError(index, str(error)) from None
    return text


def _used(nodes: Iterable[Node], scope: Scope) -> Iterator[DeferredText | str]:
    """The fields that folded nodes wait for, and the variables that wait for some."""
    for node in nodes:
        if isinstance(node, Field):
            yield node.name
        elif isinstance(node, Call):
            yield from _used(node.arguments, scope)
            first = node.arguments[0] if node.arguments else None
            if isinstance(first, Literal) and node.name == "build":
                yield str(first.value)
            elif isinstance(first, Literal) and node.name == "user":
                variable = scope.variables.get(str(first.value))
                yield from [variable] if isinstance(variable, DeferredText) else []
        elif isinstance(node, If):
            yield from _used([node.condition, *node.body, *node.otherwise], scope)
