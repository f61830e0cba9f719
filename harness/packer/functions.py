"""The functions of Packer's expressions, each with what it takes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.packer import times
from harness.packer.position import nearest
from harness.packer.scope import VERSION, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_AMAZON_NAME = re.compile(rb"[^a-zA-Z0-9()\[\] ./\-'@_]")
_VERB = re.compile(r"%([-+ 0]*[0-9]{0,3}(?:\.[0-9]{1,2})?)([a-zA-Z%])|%")
_VERBS: dict[str, type] = {"s": str, "d": int, "v": object}
_KINDS = {str: "a string", int: "a number", bool: "a boolean", object: "a value"}
_GONE = {
    "consul_key": "read it before, and give it as a variable",
    "vault": "read it before, and give it as a variable",
    "aws_secretsmanager": "read it before, and give it as a variable",
    "aws_secretsmanager_raw": "read it before, and give it as a variable",
    "sed": "use replace or replace_all",
}


@dataclass(frozen=True)
class Function:
    """``takes`` are the types of its arguments; ``optional`` of them may be left out, or any
    number of the last one given where it is ``variadic``.
    """

    apply: Callable[..., str | int | bool]
    takes: tuple[type, ...] = ()
    optional: int = 0
    variadic: bool = False


def call(name: str, scope: Scope, arguments: Sequence[object]) -> str | int | bool:
    """What a function makes of its arguments.

    Raises:
        ValueError: there is no such function, or it does not take these arguments, or not here.
    """
    function = find(name)
    check(name, arguments)
    result = function.apply(scope, *arguments)
    scope.budget.spend(len(str(result)) + 1)
    return result


def find(name: str) -> Function:
    """The function of that name.

    Raises:
        ValueError: there is none.
    """
    if name in _GONE:
        raise ValueError(f"there is no function {name!r}: {_GONE[name]}")
    if name not in FUNCTIONS:
        raise ValueError(f"there is no function {name!r}; {nearest(name, FUNCTIONS)}")
    return FUNCTIONS[name]


def check(name: str, arguments: Sequence[object]) -> None:
    """Refuse arguments that a function does not take.

    Raises:
        ValueError: there are too few or too many, or one is of the wrong type.
    """
    function = find(name)
    most, given = len(function.takes), len(arguments)
    least = most - function.optional
    if given < least or (given > most and not function.variadic):
        wanted = f"{least} or {most}" if function.optional else str(most)
        at_least = "at least " if function.variadic else ""
        raise ValueError(f"{name} takes {at_least}{wanted} arguments, and got {given}")
    for index, argument in enumerate(arguments):
        kind = function.takes[min(index, most - 1)]
        exact = isinstance(argument, bool) == (kind is bool) or kind is object
        if not isinstance(argument, kind) or not exact:
            raise ValueError(f"{name} takes {_KINDS[kind]} there, and got {_kind(argument)}")


def _kind(value: object) -> str:
    # Messages show no values: they may be secret.
    return _KINDS.get(type(value), "something else")


class UnsetError(ValueError):
    """A variable of the environment that is put into a text is not set."""


def _env(scope: Scope, name: str) -> str:
    if not scope.in_variables:
        raise ValueError('env works in "variables" alone: give a variable this default, and use it')
    if name not in scope.facts.environment and not scope.only_asked:
        raise UnsetError(name)
    return scope.facts.environment.get(name, "")


def _build_name(scope: Scope) -> str:
    if not scope.build_name:
        raise ValueError("build_name is not known here: it belongs to a build")
    return scope.build_name


def _build_type(scope: Scope) -> str:
    if not scope.build_type:
        raise ValueError("build_type is not known here: it belongs to a build")
    return scope.build_type


def _split(_: Scope, text: str, separator: str, index: int) -> str:
    parts = text.split(separator) if separator else list(text)
    if not 0 <= index < len(parts):
        raise ValueError(f"split finds {len(parts)} parts, numbered from 0, and no number {index}")
    return parts[index]


def _replace(scope: Scope, old: str, new: str, times: int, text: str) -> str:
    found = text.count(old) if times < 0 else min(times, text.count(old))
    scope.budget.spend(found * len(new))
    return text.replace(old, new, max(times, -1))


def _clean(scope: Scope, name: str) -> str:
    if not scope.build_type.startswith("amazon-"):
        kind = scope.build_type or "variables"
        raise ValueError(f"clean_resource_name is for Amazon's builders; {kind} has no such thing")
    return _AMAZON_NAME.sub(b"-", name.encode()).decode()


def _upper(_: Scope, text: str) -> str:
    # Letter by letter, as Go does: "ß" has no capital of one letter.
    return "".join(c.upper() if len(c.upper()) == 1 else _one(c, c.title()) for c in text)


def _lower(_: Scope, text: str) -> str:
    return "".join(c.lower()[0] for c in text)


def _one(letter: str, changed: str) -> str:
    return changed if len(changed) == 1 else letter


def _printf(_: Scope, format: str, *arguments: object) -> str:
    left = list(arguments)

    def replace(match: re.Match[str]) -> str:
        flags, verb = match.groups()
        if match[0] == "%%":
            return "%"
        if verb not in _VERBS:
            raise ValueError(f"printf cannot do {match[0]!r}: there are %s, %d, %v and %%")
        if not left:
            raise ValueError(f"printf has no argument left for {match[0]!r}")
        argument = left.pop(0)
        if not isinstance(argument, _VERBS[verb]) or (verb == "d" and isinstance(argument, bool)):
            raise ValueError(f"printf cannot show {_kind(argument)} as {match[0]!r}")
        whole = isinstance(argument, int) and not isinstance(argument, bool)
        return f"%{flags}d" % argument if whole else f"%{flags}s" % text(argument)

    made = _VERB.sub(replace, format)
    if left:
        raise ValueError(f"printf has {len(left)} arguments more than its format has places")
    return made


def _equal(_: Scope, first: object, *others: object) -> bool:
    for other in others:
        if type(first) is not type(other):
            raise ValueError(f"{_kind(first)} and {_kind(other)} cannot be compared")
    return first in others


def text(value: object) -> str:
    """A value as a text shows it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _elsewhere(_: Scope, *__: object) -> str:
    return ""


FUNCTIONS: dict[str, Function] = {
    "and": Function(_elsewhere, (object,), variadic=True),
    "build": Function(_elsewhere, (str,)),
    "build_name": Function(_build_name),
    "build_type": Function(_build_type),
    "clean_ami_name": Function(_clean, (str,)),
    "clean_image_name": Function(_clean, (str,)),
    "clean_resource_name": Function(_clean, (str,)),
    "env": Function(_env, (str,)),
    "eq": Function(_equal, (object, object), variadic=True),
    "isotime": Function(
        lambda scope, layout=times.ISO: times.isotime(scope.facts.utc, layout), (str,), 1
    ),
    "lower": Function(_lower, (str,)),
    "ne": Function(lambda scope, *pair: not _equal(scope, *pair), (object, object)),
    "not": Function(lambda _, value: not value, (object,)),
    "or": Function(_elsewhere, (object,), variadic=True),
    "packer_version": Function(lambda _: VERSION),
    "printf": Function(_printf, (str, object), 1, variadic=True),
    "pwd": Function(lambda scope: str(scope.facts.folder)),
    "replace": Function(_replace, (str, str, int, str)),
    "replace_all": Function(
        lambda scope, old, new, where: _replace(scope, old, new, -1, where), (str, str, str)
    ),
    "split": Function(_split, (str, str, int)),
    "strftime": Function(lambda scope, codes: times.strftime(scope.facts.utc, codes), (str,)),
    "template_dir": Function(
        lambda scope: os.path.abspath(scope.facts.folder / scope.facts.template.parent)  # noqa: PTH100 - follows no links
    ),
    "timestamp": Function(lambda scope: str(int(scope.facts.started.timestamp()))),
    "upper": Function(_upper, (str,)),
    "user": Function(_elsewhere, (str,)),
    "uuid": Function(lambda scope: scope.facts.new_uuid()),
}
"""By name. What `user` and `build` are, and how many values `and` and `or` look at, is the business
of `expressions`."""
