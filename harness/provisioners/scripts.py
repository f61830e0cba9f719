"""What shell provisioners share: where the script comes from, and its variables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.provisioners.base import Provisioner

if TYPE_CHECKING:
    from harness.machine import Machine
    from harness.secret import Secret

    Variables = Mapping[str, str | Secret] | Collection[str]


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
        yield from origin_problems(self, self._origins())
        yield from variable_problems(self.environment_vars)

    @property
    def files(self) -> list[str]:
        return [self.script] if self.script else list(self.scripts)

    def environment(self, machine: Machine) -> dict[str, str | Secret]:
        """The variables, behind those that Packer sets."""
        return {
            "PACKER_BUILD_NAME": machine.source.name or machine.source.type,
            "PACKER_BUILDER_TYPE": machine.source.type,
            **variables(self.environment_vars),
        }

    def _origins(self) -> list[str]:
        return ["inline", "script", "scripts"]


def origin_problems(options: object, origins: Collection[str]) -> Iterator[str]:
    """What is wrong with where the script comes from: the options of these names."""
    given = [name for name in origins if getattr(options, name)]
    if len(given) != 1:
        yield f"give one of {', '.join(origins)}; there is {' and '.join(given) or 'none'}"
    for option in ("inline", "scripts"):
        if isinstance(value := getattr(options, option), str):
            yield f"{option}={value!r} is a text where a list belongs"


def variable_problems(given: Variables) -> Iterator[str]:
    """What is wrong with ``environment_vars``."""
    if isinstance(given, str):
        yield f"environment_vars={given!r} is a text where a list belongs"
    elif not isinstance(given, Mapping):
        for entry in given:
            if not _is_pair(entry):
                yield f"environment_vars has {entry!r}: write NAME=value, or a mapping"


def variables(given: Variables) -> dict[str, str | Secret]:
    """``environment_vars`` by name."""
    if isinstance(given, Mapping):
        return dict(given)
    pairs = (entry.partition("=") for entry in given)
    return {name: value for name, _, value in pairs}


def _is_pair(entry: object) -> bool:
    return isinstance(entry, str) and "=" in entry
