"""The distributions that recipes are made of, and the keys that sign their archives."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from harness.errors import ToolMissingError


@dataclass(frozen=True)
class Distribution:
    """Whose packages a base is made of.

    Args:
        origin: as it stands in the archive's Release files.
        signers: what the names of its keyrings begin with, wherever apt has them.
        keyring: the keys that its archive is signed with.
        keyring_package: the package that has them; empty: they are a part of the harness.
        components: of the archive, where this computer's own sources do not name any.
        releases: the table by which mmdebstrap knows its archive; None: it needs none.
    """

    origin: str
    signers: tuple[str, ...]
    keyring: Path
    keyring_package: str
    components: str
    releases: Path | None = None

    @property
    def source_option(self) -> str:
        """What a source line says of the keys; a guest has a packaged keyring at the same place."""
        return f"[signed-by={self.keyring}] " if self.keyring_package else ""

    def require(self, suite: str) -> None:
        """Raise unless a release can be found.

        Raises:
            ToolMissingError: a package of this computer is missing.
        """
        table = self.releases
        if table and not (table.exists() and f",{suite}," in table.read_text(encoding="utf-8")):
            raise ToolMissingError(
                f"{table} does not have {suite}: mmdebstrap cannot tell where {self.origin}'s "
                "archive is. Install with: apt-get install distro-info-data"
            )


DEBIAN = Distribution(
    origin="Debian",
    signers=("debian-archive-",),
    keyring=Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    keyring_package="debian-archive-keyring",
    components="main",
)

# Debian 12 has no package with Ubuntu's keys. This one has signed all releases since 2018.
UBUNTU = Distribution(
    origin="Ubuntu",
    signers=("ubuntu-archive-", "ubuntu-keyring-"),
    keyring=Path(str(resources.files(__package__) / "keyrings/ubuntu-archive-2018.asc")),
    keyring_package="",
    components="main,universe",
    releases=Path("/usr/share/distro-info/ubuntu.csv"),
)
