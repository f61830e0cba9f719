"""The post-processors of a template, chain by chain, behind an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import packer, post_processors
from harness.packer_template.options import made
from harness.post_processors import Artifact, Chain

if TYPE_CHECKING:
    from harness.model import Image
    from harness.packer import Plan, Template
    from harness.packer.components import PostProcessor as Link
    from harness.packer_template.plans import Plans
    from harness.post_processors import PostProcessor, Run

OWN = ("BuildName", "BuilderType", "ChecksumType", "Script", "Vars")
"""Fields that a post-processor itself fills in."""


class TemplateChain(Chain):
    """One chain of a template; which post-processors are in it depends on the image's build.

    Args:
        name: what it is called.
        plans: the template's.
        number: which of the template's chains it is.
    """

    def __init__(self, name: str, plans: Plans, number: int) -> None:
        self.name = name
        self._plans = plans
        self._number = number

    def process(self, image: Image, run: Run) -> tuple[Artifact, bool | None]:
        plan = self._plans.of(Artifact.of(image).source)
        links = chain(plan, self._number)
        if not links:
            return Artifact.of(image), None
        return Chain(*links, name=self.name).process(image, run)


def names(template: Template) -> list[str]:
    """What each chain is called: its post-processors' names; a second one has a number behind."""
    found: list[str] = []
    for links in template.post_processors:
        name = "-".join(link.name for link in links) or "nothing"
        count = sum(other == name or other.startswith(f"{name}-") for other in found)
        found.append(f"{name}-{count + 1}" if count else name)
    return found


def check(plan: Plan) -> None:
    """Refuse wrong options before there is a machine.

    Raises:
        TemplateError: one is.
    """
    for number in range(len(plan.post_processors)):
        chain(plan, number)


def chain(plan: Plan, number: int) -> list[PostProcessor]:
    return list(map(_made, plan.post_processors[number]))


def _made(link: Link) -> PostProcessor:
    kind = post_processors.TYPES[link.type]
    options = {n: packer.render(v, _fields()) for n, v in link.options.items()}
    defaults = {n: v for n, v in kind.packer_defaults.items() if n not in options}
    found: PostProcessor = made(
        kind,
        link,
        options,
        name=link.name if link.name != link.type else "",
        keep_input_artifact=link.keep_input_artifact,
        **defaults,
    )
    return found


def _fields() -> dict[str, object]:
    return {name: f"{{{{.{name}}}}}" for name in OWN}
