"""The post-processors of a template, chain by chain, behind an image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness import packer, post_processors
from harness.follower import STAGES
from harness.packer_builds.options import SCRIPTS, made, require_files
from harness.post_processors import Artifact, Chain

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import Image
    from harness.packer import Plan, Template
    from harness.packer.components import PostProcessor as Link
    from harness.packer_builds.plans import Plans
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
        links = [_made(link, image) for link in plan.post_processors[self._number]]
        if not links:
            return Artifact.of(image), None
        return Chain(*links, name=self.name).process(image, run)


def names(template: Template) -> list[str]:
    """What each chain is called: its post-processors' names; a second one has a number behind."""
    found: list[str] = []
    for links in template.post_processors:
        name = re.sub(r"[^A-Za-z0-9._-]", "-", "-".join(link.name for link in links)) or "nothing"
        if name in STAGES or name.startswith("test") or not name[0].isalnum():
            name = f"post-{name}"
        count = sum(other == name or other.startswith(f"{name}-") for other in found)
        found.append(f"{name}-{count + 1}" if count else name)
    return found


def check(plan: Plan, folder: Path) -> None:
    """Refuse wrong options, and scripts that are not there, before there is a machine.

    Raises:
        TemplateError: as it says.
    """
    for links in plan.post_processors:
        for link in links:
            _made(link, None)
            for option in SCRIPTS:
                require_files(link, option, folder)


def _made(link: Link, image: Image | None) -> PostProcessor:
    kind = post_processors.TYPES[link.type]
    options = {n: packer.render(v, _fields(image)) for n, v in link.options.items()}
    known = {n: v for n, v in kind.packer_defaults.items() if n not in options}
    if (
        image is None or not image.files
    ):  # Packer's default removes what was compressed, and there is nothing
        known.pop("keep_input_artifact", None)
    known["name"] = link.name if link.name != link.type else ""
    if link.keep_input_artifact is not None:
        known["keep_input_artifact"] = link.keep_input_artifact
    found: PostProcessor = made(kind, link, options, **known)
    return found


def _fields(image: Image | None) -> dict[str, object]:
    return {"ID": image.id if image else "", **{name: f"{{{{.{name}}}}}" for name in OWN}}
