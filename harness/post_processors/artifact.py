"""What post-processors hand on, and what they need to know of the run."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness import cache
from harness.cancel import CancelToken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.model import Image
    from harness.secret import Secret
    from harness.sources.base import Context


@dataclass(frozen=True)
class Artifact:
    """What one post-processor is given and the next one gets.

    ``files`` are on this computer: none of an image that is in a cloud. ``id`` is how the image's
    platform names it, and empty for files that a post-processor made. ``build`` and
    ``source_type`` are the image's.
    """

    id: str
    files: tuple[Path, ...]
    build: str
    source_type: str

    @classmethod
    def of(cls, image: Image) -> Artifact:
        return cls(image.id, image.files, image.build, image.source_type)

    @property
    def source(self) -> str:
        """The name of the source, which is Packer's name of a build."""
        return self.build.partition(".")[2]


@dataclass(frozen=True)
class Run:
    """The run that a post-processor works in; without one that of whoever calls it.

    ``directory`` is where relative paths start: pytest's rootdir, or the current folder. Scripts
    and commands start at ``inputs``: the folder of the build's file, or the current one.
    """

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    directory: Path = field(default_factory=Path.cwd)
    inputs: Path = field(default_factory=Path.cwd)
    context: Context | None = None

    @classmethod
    def of(cls, context: Context) -> Run:
        """The run of a build; its id is the same for all builds and workers."""
        return cls(context.uuid, context.root, context.directory, context)

    def shown(self, path: Path) -> str:
        """A path as people want to read it: relative where it is inside."""
        inside = path.is_relative_to(self.directory)
        return str(path.relative_to(self.directory) if inside else path)

    def reveal(self, name: str, value: str | Secret) -> str:
        """A text that somebody gave; the run hides it from now on where it is secret."""
        if isinstance(value, str):
            return value
        return self.context.reveal(name, value) if self.context else value.reveal()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While several may add to one file, in this run and in others."""
        cancel = self.context.cancel if self.context else CancelToken()
        with cache.locked(cache.directory() / "post-processors", cancel):
            yield
