"""Post-processors as data, with Packer's option names: what becomes of an image that is there.

Each may follow a build's image, ``web.after_image(Checksum(types=["sha256"]))``, alone or in a
`Chain`, or be called with an image in a function of yours.
"""

from harness.post_processors.artifact import Artifact as Artifact
from harness.post_processors.artifact import Run as Run
from harness.post_processors.artifice import Artifice as Artifice
from harness.post_processors.base import PostProcessor as PostProcessor
from harness.post_processors.chain import Chain as Chain
from harness.post_processors.checksum import Checksum as Checksum
from harness.post_processors.compress import Compress as Compress
from harness.post_processors.manifest import Manifest as Manifest
from harness.post_processors.shell_local import ShellLocal as ShellLocal

__all__ = [
    "TYPES",
    "Artifact",
    "Artifice",
    "Chain",
    "Checksum",
    "Compress",
    "Manifest",
    "PostProcessor",
    "Run",
    "ShellLocal",
]

TYPES: dict[str, type[PostProcessor]] = {
    kind.type: kind for kind in (Artifice, Checksum, Compress, Manifest, ShellLocal)
}
"""By the type that a template names."""
