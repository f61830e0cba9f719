"""What the two shell provisioners share: where the script comes from, and its variables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.provisioners.base import Provisioner

if TYPE_CHECKING:
    from harness.machine import Machine
    from harness.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Scripts(Provisioner):
    """Exactly one of ``inline``, ``script`` and ``scripts``."""

    inline: Collection[str] = ()
    script: str = ""
    scripts: Collection[str] = ()
    environment_vars: Mapping[str, str | Secret] | Collection[str] = ()
    valid_exit_codes: Collection[int] = (0,)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        origins = self._origins()
        given = [name for name in origins if getattr(self, name)]
        if len(given) != 1:
            yield f"give one of {', '.join(origins)}; there is {' and '.join(given) or 'none'}"
        for option in ("inline", "scripts", "environment_vars"):
            if isinstance(getattr(self, option), str):
                yield f"{option}={getattr(self, option)!r} is a text where a list belongs"
        if not isinstance(self.environment_vars, Mapping):
            for entry in self.environment_vars:
                if not _is_pair(entry):
                    yield f"environment_vars has {entry!r}: write NAME=value, or a mapping"

    @property
    def files(self) -> list[str]:
        return [self.script] if self.script else list(self.scripts)

    def environment(self, machine: Machine) -> dict[str, str | Secret]:
        """The variables, behind those that Packer sets."""
        given = self.environment_vars
        own = given if isinstance(given, Mapping) else dict(e.split("=", 1) for e in given)
        return {
            "PACKER_BUILD_NAME": machine.source.name or machine.source.type,
            "PACKER_BUILDER_TYPE": machine.source.type,
            **own,
        }

    def _origins(self) -> list[str]:
        return ["inline", "script", "scripts"]


def _is_pair(entry: object) -> bool:
    return isinstance(entry, str) and "=" in entry
