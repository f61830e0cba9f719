"""What each build of a template is to do: known once its variables have their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import packer
from harness.packer_builds.options import lacking
from harness.packer_builds.values import Values
from harness.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.given import Given, Namespace
    from harness.packer import Builder, Plan, Prepared, Template


class Plans:
    """The plans of one template, by the names of its builds.

    Args:
        template: as it was read.
        path: where it lies.
    """

    def __init__(self, template: Template, path: Path) -> None:
        self.template = template
        self.values = Values(template, path)
        self.folder = path.parent
        self._plans: dict[str, Plan] = {}
        self._prepared: dict[str, Prepared] = {}

    def make(self, builder: Builder, namespace: Namespace) -> Plan:
        """The plan of a builder's build, from now on also there for `of`.

        Raises:
            TemplateError: a value or an expression is wrong.
        """
        prepared = self._prepare(namespace.given)
        name = _name(builder, prepared)
        self._prepared[name] = prepared
        self._plans[name] = prepared.plan(name)
        return self._plans[name]

    def name(self, builder: Builder, given: Given) -> str:
        """What a builder's build is called, if its name has expressions.

        Raises:
            TemplateError: one of them is wrong, or a variable in it has no value.
        """
        return _name(builder, self._prepare(given))

    def of(self, builder: str) -> Plan:
        """A plan that has been made; ``builder`` is the source's name."""
        return self._plans[builder]

    def _prepare(self, given: Given) -> Prepared:
        values = self.values
        return packer.prepare_with(self.template, values.of(given), values.facts(given))

    def secrets(self, builder: str) -> Iterator[Secret]:
        """What the template calls sensitive: its defaults are expressions, and come to this."""
        yield from map(Secret, self._prepared[builder].secrets)

    def lacked_by(self, builder: Builder) -> Iterator[str]:
        """Why a builder's build cannot be: what it needs, and what there is."""
        template = self.template
        yield from lacking("builder", builder)
        for step in template.provisioners:
            if step.choice.includes(builder.name):
                yield from lacking("provisioner", step)
        if template.error_cleanup:
            yield from lacking("provisioner", template.error_cleanup)
        for chain in template.post_processors:
            for link in chain:
                if link.choice.includes(builder.name):
                    yield from lacking("post-processor", link)


def _name(builder: Builder, prepared: Prepared) -> str:
    return next(name for name, b in prepared.builders.items() if b.name == builder.name)
