"""What each build of a template is to do: known once its variables have their values."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness import packer
from harness.errors import ConfigurationError
from harness.packer_builds.options import lacking
from harness.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.given import Given, Namespace
    from harness.packer import Builder, Plan, Prepared, Template


class Plans:
    """The plans of one template, by the raw names of its builders.

    Args:
        template: as it was read.
        path: where it lies.
    """

    def __init__(self, template: Template, path: Path) -> None:
        self.template = template
        self.folder = path.parent
        self._path = path
        self._plans: dict[str, Plan] = {}
        self._prepared: dict[str, Prepared] = {}

    def make(self, builder: Builder, namespace: Namespace) -> Plan:
        """The plan of a builder's build, from now on also there for `of`.

        Raises:
            TemplateError: a value or an expression is wrong.
        """
        facts = _facts(namespace.given, self._path)
        prepared = packer.prepare(self.template, dict(_given(namespace)), facts)
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


def _facts(given: Given, path: Path) -> packer.Facts:
    started = datetime.fromtimestamp(given.started, UTC)
    return packer.Facts(started, Path.cwd(), path, dict(given.environ))


def _given(namespace: Namespace) -> Iterator[tuple[str, str]]:
    """What somebody has given; defaults are the template's own, which may have expressions."""
    for name in namespace.declared:
        found = namespace.value(name)
        if found.is_default:
            continue
        value = found.value
        text = value.reveal() if isinstance(value, Secret) else value
        if not isinstance(text, str):
            raise ConfigurationError(
                f"the variable {name!r} of {found.origin} is no text: {text!r}"
            )
        yield name, text
