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

    from harness.given import Namespace
    from harness.packer import Builder, Plan, Prepared, Template


class Plans:
    """The plans of one template, by the raw names of its builders.

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
        given, values = namespace.given, self.values
        prepared = packer.prepare_with(self.template, values.of(given), values.facts(given))
        name = next(n for n, b in prepared.builders.items() if b.name == builder.name)
        self._prepared[builder.name] = prepared
        self._plans[builder.name] = prepared.plan(name)
        return self._plans[builder.name]

    def of(self, builder: str) -> Plan:
        """A plan that has been made; ``builder`` is the source's name."""
        return self._plans[builder]

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
