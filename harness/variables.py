"""`var`: a value that is given by whoever runs the builds, and not by whoever writes them."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Never

from harness import conversion
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.given import Given

MADE = "__harness_variables__"
"""In a module: every variable that it has declared, whether or not one of its names holds it."""
_IN_TEXT = re.compile(r"\{\{var\.[^{}]*\}\}|\{var\.([^{}]*)\}")
"""With two braces it is somebody else's."""


class Nothing(Enum):
    """What a variable without a default has for one."""

    NOTHING = 0


@dataclass(frozen=True, repr=False)
class Variable:
    """A declaration; `harness.var` makes it.

    It stands for its value in a source's options alone. As a text it would be an accident.
    """

    name: str
    default: Any = field(hash=False)
    type: type
    env: str
    sensitive: bool
    description: str
    place: str = field(compare=False)
    """The file and line of its declaration."""
    resolve: Callable[[Given], str] | None = field(default=None, compare=False)
    """What its text comes to, if that is more than a text; may raise `MissingValueError`."""

    def __repr__(self) -> str:
        return f"var({self.name!r})"

    def __str__(self) -> Never:
        raise ConfigurationError(
            f"{self!r} has no text yet: give it to an option as it is, write "
            f'"{{var.{self.name}}}" in a text of one, and read variables.{self.name} in build '
            "functions and tests"
        )

    def __format__(self, specification: str) -> Never:
        str(self)
        raise NotImplementedError

    @property
    def has_default(self) -> bool:
        return self.default is not Nothing.NOTHING


def var(
    name: str,
    *,
    default: Any = Nothing.NOTHING,
    type: Any = None,
    env: str = "",
    sensitive: bool = False,
    description: str = "",
) -> Any:
    """Declare a variable: a value that the run is given, by the one who starts it.

    It stands for any option of a source, also in lists, mappings and ``params``, save ``name``;
    ``"{var.name}"`` in a text of an option is replaced by it. Build functions and tests read it as
    ``variables.name``. Declared in a module, it belongs to all builds of the module, whatever uses
    it; only in an option, to builds with that option.

    Its value is given, later ones win, by ``default=``; ``[tool.harness.variables]`` in
    pyproject.toml; the environment (the variable that ``env=`` names, then ``HARNESS_VAR_name``;
    an empty one counts as not set); ``--var-file FILE`` (JSON, TOML or YAML, several in their
    order); ``--var name=value``. A text is converted. Values are looked for when the run starts,
    for the selected builds. ``harness variables`` lists them.

    Args:
        name: as in Python, without an underscore in front.
        default: its value where nobody gives one; default: somebody must. None is a value.
        type: str, int, float, bool, pathlib.Path (``~`` is the user's home) or list (as text:
            commas, or JSON); default: that of ``default=``, else str.
        env: a variable of the environment that may have it too.
        sensitive: its value is a `harness.Secret` (or a list of them) and is masked in all that
            the run shows. Where an option takes no secret, it gets the text.
        description: what it is, for messages and ``harness variables``.

    Raises:
        ConfigurationError: no name, an unknown type, or a default of another type.

    Example:
        ```python
        RELEASE = harness.var("release", default="12", description="of Debian")
        TOKEN = harness.var("token", env="AGENT_TOKEN", sensitive=True)

        @harness.build(harness.Qemu(base="debian-{var.release}"))
        def web(machine: harness.Machine, variables: harness.Variables) -> None:
            machine.shell("agent register", env={"TOKEN": variables.token})
        ```
    """
    _check_name(name)
    chosen = type or _type_of(default)
    if chosen not in conversion.TYPES:
        known = ", ".join(kind.__name__ for kind in conversion.TYPES)
        raise ConfigurationError(f"var({name!r}, type={type!r}): there are {known}")
    if sensitive and chosen not in (str, list):
        raise ConfigurationError(
            f"var({name!r}, type={chosen.__name__}, sensitive=True): what is sensitive is a text, "
            "or a list of texts; leave out one of the two"
        )
    caller = sys._getframe(1)  # noqa: SLF001 - there is no other way to the caller
    place = f"{caller.f_code.co_filename}:{caller.f_lineno}"
    made = Variable(name, default, chosen, env, sensitive, description, place)
    if default not in (Nothing.NOTHING, None):
        conversion.convert(made, default, "its default")
    if caller.f_code.co_name == "<module>":
        caller.f_globals.setdefault(MADE, []).append(made)
    return made


def variables_in(value: object, *around: object) -> Iterator[Variable]:
    """Each variable that stands for a value, however deep in lists and mappings.

    Args:
        value: the value.
        around: what it lies in; a value in itself is not gone through again.
    """
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, Mapping | list | tuple | set | frozenset):
        inner = value.values() if isinstance(value, Mapping) else value
        for each in inner if all(value is not other for other in around) else ():
            yield from variables_in(each, value, *around)


def names_in(value: object) -> Iterator[str]:
    """What ``{var.…}`` names in texts, however deep in lists and mappings."""
    if isinstance(value, str | PurePath):
        yield from (m[1] for m in _IN_TEXT.finditer(str(value)) if m[1] is not None)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from names_in(key)
            yield from names_in(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from names_in(each)


def filled(text: str, value: Callable[[str], str]) -> str:
    """A text with each ``{var.name}`` replaced by the name's value."""
    return _IN_TEXT.sub(lambda m: m[0] if m[1] is None else value(m[1]), text)


def _check_name(name: object) -> None:
    is_one = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
    if not is_one or str(name).startswith("_"):
        raise ConfigurationError(
            f"var({name!r}): a variable's name is of letters, digits and _, begins with a letter "
            "and is no word of Python's"
        )


def _type_of(default: object) -> type:
    if isinstance(default, tuple):
        return list
    if isinstance(default, Path):
        return Path
    return type(default) if type(default) in conversion.TYPES else str
