"""What a provisioner is: a frozen dataclass of options, and what it does to a machine."""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from harness import duration
from harness.errors import ConfigurationError
from harness.options import Options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from harness.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Provisioner(Options, abc.ABC):
    """A step on a machine. The options are those that every provisioner of Packer's has.

    Durations are seconds or a text such as ``"1m30s"``. Sources are named as in pytest's brackets
    (``qemu``), or with their build (``web.qemu``).

    Args:
        only: the sources that it is for; default: all.
        except_: the sources that it is not for; Packer's ``except``, which Python keeps for itself.
        override: other options for some sources: ``{"qemu": {"inline": ["true"]}}``.
        pause_before: how long to wait first; default 0.
        max_retries: how often to try all of it again; default 0. The last error counts.
        timeout: of each command and of each transfer; default 3600, None: never.
    """

    type: ClassVar[str]

    only: Collection[str] = ()
    except_: Collection[str] = ()
    override: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pause_before: float | str = 0
    max_retries: int = 0
    timeout: float | str | None = 3600

    def __post_init__(self) -> None:
        for problem in self.problems():
            raise ConfigurationError(f"provisioner {self.type}: {problem}")
        try:
            super().__post_init__()
        except ConfigurationError as error:
            raise ConfigurationError(f"provisioner {self.type}: {error}") from None
        duration.seconds("pause_before", self.pause_before)
        _ = self.timeout_seconds

    def problems(self) -> Iterator[str]:
        """What is wrong with the options, a sentence each."""
        if self.only and self.except_:
            yield "only and except_ exclude each other: give one of them"

    def provision(self, machine: Machine) -> None:
        """Do it, where it is for this machine's source.

        Raises:
            HarnessError: what the machine's calls raise; `ConfigurationError` for an ``override``
                of an option that it does not have.
        """
        names = {machine.source.name or machine.source.type, machine.context.build}
        self._check_names(names.union(machine.context.known_names))
        if (self.only and not names & set(self.only)) or names & set(self.except_):
            return
        options = [o for name, o in self.override.items() if name in names]
        chosen = self._with(options[0]) if options else self
        if pause := duration.seconds("pause_before", chosen.pause_before):
            machine.pause(pause)
        machine.retry(lambda: chosen.apply(machine), chosen.max_retries)

    def _check_names(self, known: Collection[str]) -> None:
        for option in ("only", "except_", "override"):
            for name in getattr(self, option):
                if name not in known:
                    raise ConfigurationError(
                        f"provisioner {self.type}: {option} has {name!r}, which is no build and "
                        f"no source; there are {', '.join(sorted(known))}"
                    )

    @abc.abstractmethod
    def apply(self, machine: Machine) -> None:
        """Do it once."""

    @property
    def timeout_seconds(self) -> float | None:
        return None if self.timeout is None else duration.seconds("timeout", self.timeout)

    def _with(self, options: Mapping[str, Any]) -> Provisioner:
        known = [f.name for f in dataclasses.fields(self)]
        for name in options:
            if name not in known:
                raise ConfigurationError(
                    f"provisioner {self.type}: override has {name!r}; "
                    f"its options are {', '.join(known)}"
                )
        return dataclasses.replace(self, **options)
