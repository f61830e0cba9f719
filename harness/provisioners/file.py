"""Files and folders to and from the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.provisioners.base import Provisioner

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from harness.machine import Machine
    from harness.secret import Secret

DIRECTIONS = ("upload", "download")


@dataclass(frozen=True, kw_only=True)
class File(Provisioner):
    """Copies files and folders: `Machine.put`, `Machine.get` and `Machine.write` as data.

    Args:
        source: a file or folder; a trailing slash means a folder's contents. On this computer a
            relative path starts at the build's file.
        sources: several; the destination is then a folder.
        content: instead of a source, what the file is to hold; may be a `harness.Secret`.
        destination: where to.
        direction: ``upload`` (default) or ``download``.
        sudo: read and write over there as root, or as the user of that name; ours.

    Example:
        `File(source="site/", destination="/var/www/html", sudo=True)`
    """

    type: ClassVar[str] = "file"
    instead: ClassVar[Mapping[str, str]] = {
        "generated": "a source is looked for when its turn comes; leave it out",
    }

    source: str = ""
    sources: Collection[str] = ()
    content: str | Secret | None = None
    destination: str = ""
    direction: str = DIRECTIONS[0]
    sudo: bool | str = False

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        given = [name for name in ("source", "sources") if getattr(self, name)]
        given += ["content"] if self.content is not None else []
        if len(given) != 1:
            found = " and ".join(given) or "none"
            yield f"give one of source, sources, content; there is {found}"
        if not self.destination:
            yield "there is no destination: write where to, destination=..."
        if isinstance(self.sources, str):
            yield f"sources={self.sources!r} is a text where a list belongs"
        if self.direction not in DIRECTIONS:
            yield f"direction={self.direction!r}: choose one of {', '.join(DIRECTIONS)}"
        if self.content is not None and self.direction == "download":
            yield "content can only be uploaded"

    def apply(self, machine: Machine) -> None:
        timeout = self.timeout_seconds
        if self.content is not None:
            machine.write(self.content, self.destination, sudo=self.sudo, timeout=timeout)
        copy = machine.put if self.direction == "upload" else machine.get
        for source in [self.source] if self.source else self.sources:
            copy(source, self._target(), sudo=self.sudo, timeout=timeout)

    def _target(self) -> str:
        several = len(self.sources) > 1
        return f"{self.destination.rstrip('/')}/" if several else self.destination
