"""From options in a template to those of a class of ours: by name, weakly typed as in Packer."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import packer, post_processors, provisioners
from harness.errors import ConfigurationError
from harness.sources import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.options import Options
    from harness.packer import Component, Value

SCRIPTS = ("script", "scripts")
"""Options that name files of this computer."""
_META = ("name", "params", "only", "except_", "override", "pause_before", "max_retries")
"""Ours for what a template says elsewhere."""

THERE_ARE: dict[str, Callable[[], Collection[str]]] = {
    "builder": registry.types,
    "provisioner": lambda: provisioners.TYPES,
    "post-processor": lambda: post_processors.TYPES,
}
"""For each kind of component the types that we have."""


def lacking(kind: str, component: Component) -> Iterator[str]:
    """A sentence with file, line and what there is, where there is no such type."""
    known = THERE_ARE[kind]()
    if component.type not in known:
        yield component.value.note(
            f"there is no {kind} of the type {component.type!r} here; "
            f"there are {', '.join(sorted(known))}"
        )


def made(
    kind: type[Options], component: Component, options: Mapping[str, Value], **more: Any
) -> Any:
    """An object of ``kind`` with a component's options; ``more`` are values for its other fields.

    Raises:
        TemplateError: an option is unknown, of another type, or wrong.
    """
    what, hints = component.type, kind.hints()
    fields = {option.name for option in dataclasses.fields(kind)}  # type: ignore[arg-type]  # all kinds are
    for name, value in options.items():
        if name not in fields and name in kind.instead:
            raise value.key_error(f"{what} has no option {name!r}: {kind.instead[name]}")
    known = sorted(fields - {*more, *_META})
    packer.refuse_unknown(options, known, what)
    values = {
        name: converted(value, hints[name])
        for name, value in options.items()
        if value.data is not None
    }
    try:
        return kind(**values, **more)
    except ConfigurationError as error:
        raise component.error(str(error)) from None


def require_files(component: Component, option: str, folder: Path) -> None:
    """Refuse what names files that are not there, as far as that is known by now.

    Raises:
        TemplateError: it does.
    """
    value = component.options.get(option)
    if value is None or isinstance(value.data, packer.DeferredText):
        return
    for name in packer.as_list(value, packer.as_text):
        if name and not (folder / Path(name).expanduser()).exists():
            raise value.error(f"there is no file {name!r} (paths start at {folder})")


def converted(value: Value, hint: Any) -> Any:
    """A value of a template where an option of this type is wanted."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    choices = arguments if origin in (types.UnionType, typing.Union) else (hint,)
    if float in choices:
        return packer.as_duration(value)  # all our numbers with a point are times
    for choice, convert in _SIMPLE.items():
        if choice in choices:
            return convert(value)
    origins = {typing.get_origin(choice): choice for choice in choices}
    if Mapping in origins and (value.entries() or len(choices) == 1):
        return packer.as_mapping(value, _plain)
    several = origins.get(Sequence, origins.get(Collection))
    if several is None:
        return value.plain()
    (entry,) = typing.get_args(several)
    return packer.as_list(value, lambda one: converted(one, entry))


def _plain(value: Value) -> Any:
    return value.plain()


# In this order: what may be a text or something else is a text in a template.
_SIMPLE: dict[object, Callable[[Value], Any]] = {
    str: packer.as_text,
    bool: packer.as_bool,
    int: packer.as_int,
    Path: lambda value: Path(packer.as_text(value)),
}
