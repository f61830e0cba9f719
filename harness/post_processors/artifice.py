"""Other files in the place of an artifact."""

from __future__ import annotations

import dataclasses
import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness.post_processors.base import PostProcessor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.post_processors.artifact import Artifact, Run


@dataclass(frozen=True, kw_only=True)
class Artifice(PostProcessor):
    """Hands on other files: those that a `ShellLocal` before it has made, say.

    Args:
        files: paths, which may be patterns.

    Raises:
        ConfigurationError: when it runs, one of them fits no file.

    Example:
        `Chain(ShellLocal(inline=["make web.ova"]), Artifice(files=["web.ova"]), Checksum())`
    """

    type: ClassVar[str] = "artifice"

    files: Collection[str] = ()

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not self.files:
            yield 'there are no files: write which, files=["web.ova"]'

    def apply(self, artifact: Artifact, run: Run) -> Artifact:
        found: dict[Path, None] = {}
        for pattern in self.files:
            paths = [Path(p) for p in sorted(glob.glob(str(run.directory / pattern)))]  # noqa: PTH207 - a pattern may be absolute
            if not paths:
                raise self.error(f"files has {pattern!r}, and there is no such file")
            found.update(dict.fromkeys(paths))
        return dataclasses.replace(artifact, id="", files=tuple(found))
