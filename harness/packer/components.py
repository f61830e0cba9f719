"""What a template is made of: builders, provisioners, post-processors, as they are written."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.packer import weak
from harness.packer.position import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from harness.errors import TemplateError
    from harness.packer.values import Value


@dataclass(frozen=True)
class Component:
    """Its ``options`` are all that Packer itself has no use for; ``value`` is where it stands."""

    type: str
    options: Mapping[str, Value]
    value: Value = field(repr=False)

    def error(self, message: str) -> TemplateError:
        """The error to raise for it; it points at its type."""
        return self.value.entries().get("type", self.value).error(message)


@dataclass(frozen=True)
class Builder(Component):
    """Its ``name`` may have expressions; `only` and the like call it by that raw name."""

    name: str = ""


@dataclass(frozen=True)
class Choice:
    """The builders that something is for, by their raw names; neither means all."""

    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()

    def includes(self, name: str) -> bool:
        return name in self.only if self.only else name not in self.except_


@dataclass(frozen=True)
class Provisioner(Component):
    """``pause_before`` and ``timeout`` are seconds, 0 for none; ``override`` is by raw name."""

    choice: Choice = Choice()
    override: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    pause_before: float = 0
    timeout: float = 0
    max_retries: Value | None = None


@dataclass(frozen=True)
class PostProcessor(Component):
    """``keep_input_artifact`` is None where the template leaves it to the post-processor."""

    name: str = ""
    choice: Choice = Choice()
    keep_input_artifact: bool | None = None


_PROVISIONER = ("type", "only", "except", "override", "pause_before", "timeout", "max_retries")
_POST_PROCESSOR = ("type", "name", "only", "except", "keep_input_artifact")


def builder(value: Value, what: str) -> Builder:
    """The builder that an object is; messages call it ``what`` ("builder 2").

    Raises:
        TemplateError: it is no object, or its type or name is missing or wrong.
    """
    entries = _object(value, what)
    kind = _type(value, what)
    name = weak.as_text(entries["name"]) if "name" in entries else ""
    return Builder(kind, _without(entries, ("name", "type")), value, name or kind)


def provisioner(value: Value, what: str, builders: Collection[str] | None) -> Provisioner:
    """The provisioner that an object is.

    Args:
        value: the object.
        what: messages call it: "provisioner 2".
        builders: raw names of those that there are. None: it is the error-cleanup-provisioner,
            whose choice Packer passes over.

    Raises:
        TemplateError: its shape is wrong, or it names a builder that there is not.
    """
    entries = _object(value, what)
    return Provisioner(
        _type(value, what),
        _without(entries, _PROVISIONER),
        value,
        _choice(entries, what, builders),
        _override(entries, what, builders),
        _duration(entries, "pause_before"),
        _duration(entries, "timeout"),
        entries.get("max_retries"),
    )


def post_processors(
    value: Value, what: str, builders: Collection[str]
) -> tuple[PostProcessor, ...]:
    """The chain that an entry of ``post-processors`` is: one of them, or a list.

    Raises:
        TemplateError: as `provisioner` does.
    """
    chain = value.data if isinstance(value.data, tuple) else (value,)
    return tuple(_post_processor(v, f"{what}.{i}", builders) for i, v in enumerate(chain, 1))


def _post_processor(value: Value, what: str, builders: Collection[str]) -> PostProcessor:
    if isinstance(value.data, str) and value.data:
        return PostProcessor(value.data, {}, value, value.data)
    entries = _object(value, what)
    for name, shape, wanted in (
        ("type", str, "a string"),
        ("name", str, "a string"),
        ("only", tuple, "a list"),
        ("except", tuple, "a list"),
        ("keep_input_artifact", bool, "true or false"),
    ):
        found = entries.get(name)
        if found and found.data is not None and not isinstance(found.data, shape):
            raise found.error(f"{name} of {what} is {found.what}; it should be {wanted}")
    kind = _type(value, what)
    name = weak.as_text(entries["name"]) if "name" in entries else ""
    keep = entries.get("keep_input_artifact")
    return PostProcessor(
        kind,
        _without(entries, _POST_PROCESSOR),
        value,
        name or kind,
        _choice(entries, what, builders),
        bool(keep.data) if keep and keep.data is not None else None,
    )


def _object(value: Value, what: str) -> Mapping[str, Value]:
    if not isinstance(value.data, dict):
        raise value.error(f"{what} is {value.what}; it should be an object with a type")
    return value.data


def _without(entries: Mapping[str, Value], names: Iterable[str]) -> dict[str, Value]:
    return {name: value for name, value in entries.items() if name not in names}


def _type(value: Value, what: str) -> str:
    entries = value.entries()
    kind = weak.as_text(entries["type"]) if "type" in entries else ""
    if not kind:
        near = difflib.get_close_matches("type", [name for name in entries if name != "type"])
        raise value.error(f"{what} has no type" + (f"; is {near[0]!r} meant?" if near else ""))
    return kind


def _choice(entries: Mapping[str, Value], what: str, builders: Collection[str] | None) -> Choice:
    only, except_ = (_names(entries, name, what, builders) for name in ("only", "except"))
    if only and except_:
        raise entries["except"].key_error(f"{what} has both only and except; write one of them")
    return Choice(only, except_)


def _names(
    entries: Mapping[str, Value], key: str, what: str, builders: Collection[str] | None
) -> tuple[str, ...]:
    value = entries.get(key)
    if value is None or value.data is None:
        return ()
    listed = value.data if isinstance(value.data, tuple) else (value,)
    for entry in listed:
        _check(entry.error, weak.as_text(entry), f"{key} of {what}", builders)
    return tuple(weak.as_text(entry) for entry in listed)


def _check(
    error: Callable[[str], TemplateError],
    name: str,
    what: str,
    builders: Collection[str] | None,
) -> None:
    if builders is not None and name not in builders:
        raise error(
            f"{what} names a builder that there is not, {name!r}; {nearest(name, builders)}"
        )


def _override(
    entries: Mapping[str, Value], what: str, builders: Collection[str] | None
) -> dict[str, Mapping[str, Value]]:
    value = entries.get("override")
    if value is None:
        return {}
    found = weak.as_mapping(value, lambda one: one)
    for name, options in found.items():
        _check(options.key_error, name, f"override of {what}", builders)
        if not isinstance(options.data, dict | None):
            raise options.error(f"override of {what} has {options.what} for {name!r}, no object")
    return {name: options.entries() for name, options in found.items()}


def _duration(entries: Mapping[str, Value], name: str) -> float:
    return weak.as_duration(entries[name]) if name in entries else 0
