"""What an expression can see: facts of the run, variables, and the build it stands in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.packer.values import Deferred

VERSION = "1.16.0"
"""The Packer whose templates we read, and what ``{{packer_version}}`` says."""
MAX_RENDERED = 4 << 20
"""Characters that all expressions of a plan may come to: variables that double each other end."""


@dataclass(frozen=True)
class Facts:
    """What does not change during a run.

    ``started`` is when it began (all timestamps are that one, in UTC); ``environment`` is what
    `env` reads, by name; ``folder`` is the working directory; ``template`` the template's path,
    absolute or from that folder; ``new_uuid`` makes what each ``{{uuid}}`` is.
    """

    started: datetime
    folder: Path
    template: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    new_uuid: Callable[[], str] = lambda: str(uuid.uuid4())

    @property
    def utc(self) -> datetime:
        """When the run began, in UTC."""
        return self.started.astimezone(UTC)


class Budget:
    """How many characters expressions may still come to."""

    def __init__(self) -> None:
        self.left = MAX_RENDERED

    def spend(self, characters: int) -> None:
        """Raises ValueError where there are not so many left."""
        self.left -= characters
        if self.left < 0:
            raise ValueError(f"the template's expressions come to more than {MAX_RENDERED} letters")


@dataclass(frozen=True)
class NoValue:
    """In the place of a variable's value: why it has none, for whoever uses it."""

    why: str


@dataclass(frozen=True)
class Scope:
    """What an expression sees where it stands.

    ``build_name`` and ``build_type`` are empty where no build is meant: in variables and in names
    of builders. ``in_variables`` is whether `env` is allowed, ``before_machine`` whether `build`
    is not. ``only_asked`` is whether it goes into no text, but into a decision.
    """

    facts: Facts
    variables: Mapping[str, str | Deferred | NoValue] = field(default_factory=dict, repr=False)
    build_name: str = ""
    build_type: str = ""
    in_variables: bool = False
    before_machine: bool = False
    only_asked: bool = False
    budget: Budget = field(default_factory=Budget, repr=False, compare=False)
