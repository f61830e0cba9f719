"""What the two shell provisioners share: where the script comes from, and its variables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.provisioners.base import Provisioner

if TYPE_CHECKING:
    from harness.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Scripts(Provisioner):
    """Exactly one of ``inline``, ``script`` and ``scripts``."""

    inline: Collection[str] = ()
    script: str = ""
    scripts: Collection[str] = ()
    environment_vars: Mapping[str, str] | Collection[str] = ()
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
                if "=" not in entry:
                    yield f"environment_vars has {entry!r}: write NAME=value"

    @property
    def files(self) -> list[str]:
        return [self.script] if self.script else list(self.scripts)

    def environment(self, machine: Machine) -> dict[str, str]:
        """The variables, behind those that Packer sets."""
        given = self.environment_vars
        pairs = given.items() if isinstance(given, Mapping) else (e.split("=", 1) for e in given)
        return {
            "PACKER_BUILD_NAME": machine.source.name or machine.source.type,
            "PACKER_BUILDER_TYPE": machine.source.type,
            **dict(pairs),
        }

    def _origins(self) -> list[str]:
        return ["inline", "script", "scripts"]
