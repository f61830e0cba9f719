"""A whole template, as it is written: its shape is checked, its expressions wait for variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.packer import components, reader, renamed, versions
from harness.packer.expressions import no_variable
from harness.packer.position import nearest
from harness.packer.variables import Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.packer.components import Builder, PostProcessor, Provisioner
    from harness.packer.values import Value

ROOT = (
    "min_packer_version",
    "description",
    "variables",
    "sensitive-variables",
    "builders",
    "provisioners",
    "error-cleanup-provisioner",
    "post-processors",
)
_PAST = {"push": "Atlas is gone; it does nothing", "comments": "it does nothing"}
"""Root keys that Packer still reads and has no use for."""


@dataclass(frozen=True)
class Template:
    """What a file says.

    ``file`` is what messages call it. ``builders`` are in order, their names distinct.
    ``post_processors`` are chains. ``warnings`` say what is called otherwise today.
    """

    file: str
    description: str
    variables: Mapping[str, Variable]
    builders: tuple[Builder, ...]
    provisioners: tuple[Provisioner, ...]
    error_cleanup: Provisioner | None
    post_processors: tuple[tuple[PostProcessor, ...], ...]
    warnings: tuple[str, ...] = ()


def read(content: bytes, file: str) -> Template:
    """The template in a file; old names of options are today's in it.

    Args:
        content: of the file, JSON in UTF-8.
        file: what messages call it.

    Raises:
        TemplateError: it is no JSON, or no template: the message shows where.

    >>> read(b'{"builders": [{"type": "qemu"}]}', "build.json").builders[0].name
    'qemu'
    """
    root = reader.read(content, file)
    warnings: list[str] = []
    entries = _root(root, warnings)
    if "min_packer_version" in entries:
        versions.check(entries["min_packer_version"])
    builders = _builders(root, entries)
    names = [builder.name for builder in builders]
    provisioners = [
        components.provisioner(value, f"provisioner {index}", names)
        for index, value in enumerate(_list(entries, "provisioners"), 1)
    ]
    cleanup = entries.get("error-cleanup-provisioner")
    chains = [
        components.post_processors(value, f"post-processor {index}", names)
        for index, value in enumerate(_list(entries, "post-processors"), 1)
    ]
    today = renamed.Renamer(warnings)
    return Template(
        file,
        _text(entries, "description"),
        _variables(entries),
        tuple(today.builder(builder) for builder in builders),
        tuple(today.provisioner(provisioner) for provisioner in provisioners),
        today.provisioner(components.provisioner(cleanup, "error-cleanup-provisioner", None))
        if cleanup
        else None,
        tuple(tuple(today.post_processor(one) for one in chain) for chain in chains),
        tuple(warnings),
    )


def _root(root: Value, warnings: list[str]) -> Mapping[str, Value]:
    """The root's entries, without comments and what is null."""
    if not isinstance(root.data, dict):
        raise root.error(f"a template is an object; this is {root.what}")
    found = {}
    for name, value in root.data.items():
        if name in _PAST:
            warnings.append(value.note(f"{name!r} is not used: {_PAST[name]}"))
        elif name.startswith("_"):
            if not isinstance(value.data, str):
                raise value.error(f"the comment {name!r} is {value.what}; it should be a string")
        elif name not in ROOT:
            raise value.key_error(f"a template has no {name!r}; {nearest(name, ROOT)}")
        elif value.data is not None:
            found[name] = value
    return found


def _builders(root: Value, entries: Mapping[str, Value]) -> list[Builder]:
    builders: dict[str, Builder] = {}
    for index, value in enumerate(_list(entries, "builders"), 1):
        builder = components.builder(value, f"builder {index}")
        if builder.name in builders:
            place = value.entries().get("name", value)
            raise place.error(
                f"there is a builder named {builder.name!r} already; give this one another name"
            )
        builders[builder.name] = builder
    if not builders:
        raise entries.get("builders", root).error("a template has at least one builder")
    return list(builders.values())


def _variables(entries: Mapping[str, Value]) -> dict[str, Variable]:
    declared = entries.get("variables")
    if declared and not isinstance(declared.data, dict):
        raise declared.error(f'"variables" is {declared.what}; it should be an object')
    values = declared.entries() if declared else {}
    sensitive = _sensitive(entries, values)
    return {
        name: Variable(name, value, _default(name, value), name in sensitive)
        for name, value in values.items()
    }


def _default(name: str, value: Value) -> str | None:
    if isinstance(value.data, str | None):
        return value.data
    written = str(value.plain()).lower() if isinstance(value.data, bool | int | float) else "..."
    raise value.error(
        f'the default of variable {name!r} is {value.what}; it should be a string: "{written}"'
    )


def _sensitive(entries: Mapping[str, Value], declared: Mapping[str, Value]) -> set[str]:
    names = set()
    for value in _list(entries, "sensitive-variables"):
        if not isinstance(value.data, str):
            raise value.error(f"{value.what} stands where the name of a variable should be")
        if value.data not in declared:
            raise value.error(no_variable(value.data, declared))
        names.add(value.data)
    return names


def _list(entries: Mapping[str, Value], name: str) -> tuple[Value, ...]:
    if name not in entries:
        return ()
    found = entries[name]
    if not isinstance(found.data, tuple):
        raise found.error(f"{name!r} is {found.what}; it should be a list")
    return found.data


def _text(entries: Mapping[str, Value], name: str) -> str:
    if name not in entries:
        return ""
    found = entries[name]
    if not isinstance(found.data, str):
        raise found.error(f"{name!r} is {found.what}; it should be a string")
    return found.data
