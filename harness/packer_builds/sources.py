"""From builders to sources."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Never

from harness.errors import SourceError
from harness.follower import NAME
from harness.packer_builds import following, provisioning, qemu
from harness.packer_builds.options import made
from harness.packer_builds.qemu import UnsupportedError
from harness.sources import registry
from harness.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.given import Given, Namespace
    from harness.model import Resource
    from harness.packer import Builder, Component, Value
    from harness.packer_builds.plans import Plans
    from harness.sources.base import Context
    from harness.variables import Variable

    Adapt = Callable[[Component, str], tuple[Mapping[str, Value], dict[str, Any]]]

ADAPTED: dict[str, Adapt] = {"qemu": qemu.adapted}
"""Where a builder's options are not simply the source's: what is left of them, and what is known
already."""


@dataclass(frozen=True)
class TemplateSource(Source):
    """A builder's place among a build's sources, until its variables have their values.

    It stays where there is no such source, or no such provisioner, and fails when its machine is
    wanted: other builds of the template go on.
    """

    type: ClassVar[str] = "packer"
    takes_variables: ClassVar[bool] = False
    name: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    ssh_username: str = ""
    variables: tuple[Variable, ...] = ()
    lacks: str = ""
    resolve: Callable[[Namespace], Source] | None = field(default=None, compare=False)
    rename: Callable[[Given], str] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, builder: Builder, plans: Plans) -> TemplateSource:
        lacks = " ".join(plans.lacked_by(builder))

        def resolve(namespace: Namespace) -> Source:
            if lacks:
                return source
            plan = plans.make(builder, namespace)
            try:
                found = _source(plan.builder, plan.name, namespace.given.started)
            except UnsupportedError as error:
                return source.without(str(error))
            provisioning.check(plan, plans.folder)
            following.check(plan, plans.folder)
            return found

        def rename(given: Given) -> str:
            name = plans.name(builder, given) if "{{" in builder.name else builder.name
            _check_name(builder, name)
            return name

        source = cls(
            name=builder.name,
            variables=plans.values.declared,
            lacks=lacks,
            resolve=resolve,
            rename=rename,
        )
        object.__setattr__(source, "type", builder.type)  # each has its own
        return source

    def without(self, lacks: str) -> TemplateSource:
        """The same, but that its build cannot be."""
        found = replace(self, lacks=lacks)
        object.__setattr__(found, "type", self.type)
        return found

    def call(self, given: Given) -> None:
        assert self.rename is not None
        object.__setattr__(self, "name", self.rename(given))

    def settled(self, namespace: Namespace) -> Source:
        assert self.resolve is not None
        return self.resolve(namespace)

    def lacking(self) -> str:
        return self.lacks

    def options(self) -> dict[str, Any]:
        return {}

    def validate(self, context: Context) -> None:
        del context

    def _fail(self, *_: object, **__: object) -> Never:
        raise SourceError(self.lacks)

    launch = connect = stop = capture = publish = _fail

    @classmethod
    def remove(cls, resource: Resource) -> bool:
        raise SourceError(f"{resource} is of no source that there is")


def _check_name(builder: Builder, name: str) -> None:
    if not re.fullmatch(NAME, name):
        place = builder.value.entries().get("name", builder.value)
        raise place.error(
            f"the builder's name {name!r} is part of what pytest calls its tests: it is of "
            'letters, digits, ".", "_" and "-" here, and begins with a letter or digit'
        )


def _source(component: Component, name: str, started: int) -> Source:
    adapt = ADAPTED.get(component.type, _unchanged)
    options, known = adapt(component, name)
    kind = registry.source(component.type)
    source: Source = made(kind, component, options, name=name, **known)
    if not (option := kind.named_by):
        return source
    return replace(source, **{option: _as_template(getattr(source, option), started)})  # type: ignore[type-var]  # every source is a dataclass


def _as_template(image_name: str, started: int) -> str:
    """A name as one of ours, which is the same in the next run if only the time differs."""
    literal = image_name.replace("{", "{{").replace("}", "}}")
    return literal.replace(str(started), "{timestamp}")


def _unchanged(component: Component, name: str) -> tuple[Mapping[str, Value], dict[str, Any]]:
    del name
    return component.options, {}
