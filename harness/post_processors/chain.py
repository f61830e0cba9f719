"""Post-processors one after the other: each is given what the one before it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.post_processors.artifact import Artifact, Run
from harness.post_processors.base import PostProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.model import Image


class Chain:
    """Several post-processors as one: ``Chain(Compress(), Checksum(types=["sha256"]))``.

    What one made and the next one does not keep is removed: `PostProcessor` says when.

    Args:
        processors: in order; the first is given the image.
        name: what it is called; default: the names of its post-processors, with ``-`` between.
    """

    def __init__(self, *processors: PostProcessor, name: str = "") -> None:
        given: tuple[object, ...] = processors
        wrong = [p for p in given if not isinstance(p, PostProcessor)]
        if wrong or not processors:
            first = repr(wrong[0]) if wrong else "nothing"
            raise ConfigurationError(
                f"Chain is given {first} where a post-processor belongs: write "
                "Chain(Compress(), Checksum()), calls included"
            )
        self.processors: Sequence[PostProcessor] = processors
        self.name = name or "-".join(p.name or p.type for p in processors)

    def __call__(self, image: Image, run: Run | None = None) -> Artifact:
        """Do all of it; see `PostProcessor.__call__`."""
        made, wanted = self.process(image, run or Run())
        if wanted is False:
            remove_image(image)
        return made

    def process(self, image: Image, run: Run) -> tuple[Artifact, bool | None]:
        """What came of it, and whether the image must stay; None: it makes no difference."""
        artifact = Artifact.of(image)
        mine = [p for p in self.processors if p.is_for(artifact)]
        wanted = mine[0].keeps(default=True) if mine else None
        if wanted is False and image.path is None:
            raise mine[0].error(
                f"keep_input_artifact=False: {image.id} is no file, and an image in a cloud is "
                "not removed; leave that out"
            )
        for number, processor in enumerate(mine):
            made = processor.apply(artifact, run)
            if number and not processor.keeps():
                _remove(artifact, but={*made.files, *image.files})
            artifact = made
        return artifact, wanted


def remove_image(image: Image) -> None:
    """Remove an image's files, and the name that led to it."""
    for path in image.files:
        path.unlink(missing_ok=True)
    if image.path is not None and image.stable_path is not None:
        link = image.path.with_name(image.stable_path.name)
        if link.is_symlink() and not link.exists():
            link.unlink()


def _remove(artifact: Artifact, but: set[Path]) -> None:
    for path in artifact.files:
        if path not in but:
            path.unlink(missing_ok=True)
