"""Frozen values that pass between the layers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class CommandResult:
    """What a command on a machine answered; the names are testinfra's."""

    command: str
    exit_status: int
    stdout_bytes: bytes = b""
    stderr_bytes: bytes = b""

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self.stderr_bytes.decode(errors="replace")

    @property
    def rc(self) -> int:
        return self.exit_status

    @property
    def succeeded(self) -> bool:
        return self.exit_status == 0

    @property
    def failed(self) -> bool:
        return self.exit_status != 0


@dataclass(frozen=True)
class Proxy:
    """A SOCKS5 proxy."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Endpoint:
    """Where an SSH server is reached, which way, and as whom.

    ``private_key`` is an OpenSSH private key (text), ``certificate`` what an authority signed for
    it; with ``agent_auth`` the SSH agent's keys are offered first, and the password comes last.
    ``host_key`` is the public key that the server must show, as in known_hosts without the host:
    ``ssh-ed25519 AAAA…``; several lines: one of them. ``bastion`` is the server to go through.
    """

    host: str
    port: int
    username: str
    private_key: str = field(repr=False)
    host_key: str
    certificate: str = ""
    password: str = field(default="", repr=False)
    agent_auth: bool = False
    bastion: Endpoint | None = None
    proxy: Proxy | None = None
    handshake_attempts: int = 0
    """Logins that may fail before the wait is over; 0: as many as there is time for."""
    keep_alive_interval: float = 5.0
    """Seconds without a word after which the server is asked for one; 0: never."""
    read_write_timeout: float = 60.0
    """Seconds of silence after which the connection counts as lost; 0: never."""
    pty: bool = False
    """Give commands a terminal."""


@dataclass(frozen=True)
class LocalDemand:
    """What a machine needs of this computer: MiB of memory, and cores; false: nothing."""

    memory: int = 0
    cpus: int = 0

    def __bool__(self) -> bool:
        return self.memory > 0 or self.cpus > 0

    def fits(self, capacity: LocalDemand) -> bool:
        return self.memory <= capacity.memory and self.cpus <= capacity.cpus

    def divided(self, parts: int) -> LocalDemand:
        return LocalDemand(self.memory // parts, self.cpus // parts)


@dataclass(frozen=True)
class Resource:
    """Something that exists because a run made it, and must go when the run is over.

    ``kind`` is the source's own word (``process``, ``directory``, ``instance``, …) and ``id``
    is what the source needs to find it again.
    """

    kind: str
    id: str
    source_type: str
    build: str


@dataclass(frozen=True)
class Image:
    """What a build yields.

    ``id`` is how its platform names it: for a local image its path, relative to pytest's rootdir
    where it is inside. ``size`` is in bytes; ``checksum`` reads ``sha256:…``, and is empty for an
    image in a cloud. ``path`` is absolute, ``stable_path``, which always leads to the newest image
    of the build, is relative as ``id`` is.
    """

    id: str
    build: str
    source_type: str
    format: str
    size: int
    checksum: str
    path: Path | None = None
    stable_path: Path | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of a local image, its disk first; of an image in a cloud none."""
        if self.path is None:
            return ()
        others = self.properties.get("additional_disks", ())
        return (self.path, *(self.path.with_name(Path(disk["id"]).name) for disk in others))

    def as_dict(self) -> dict[str, Any]:
        """The image as JSON knows it."""
        values = dataclasses.asdict(self)
        values["properties"] = dict(self.properties)
        return {k: str(v) if k.endswith("path") and v else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Image:
        """What `as_dict` gave."""
        own: dict[str, Any] = dict(values)
        own |= {k: Path(v) for k, v in own.items() if k.endswith("path") and v}
        return cls(**own)
