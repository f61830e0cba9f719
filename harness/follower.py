"""What follows an image: a function of the author's that runs once the image is there."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""What may stand before the bracket of a node id."""
VARIABLES = "variables"
"""What functions of the author's may take beside fixtures: the values of `harness.var`."""
STAGES = ("provision", "image")
"""Names that are taken below every build."""
FIXTURES = "_pytest.fixtures"
"""Where fixtures are made, which nobody can call."""
NOT_CALLED = (
    inspect.isgeneratorfunction,
    inspect.iscoroutinefunction,
    inspect.isasyncgenfunction,
)
"""Kinds of functions that a call only prepares."""


@dataclass(frozen=True)
class Follower:
    """One of a build's, for the image of each of its sources.

    ``function`` takes the image, and unparametrised session fixtures by name. It may also be
    anything else that is called so and has a name, such as a post-processor.
    """

    function: Callable[..., object]

    @property
    def name(self) -> str:
        """The function's own; of a post-processor its ``name``, or its type."""
        names = (getattr(self.function, name, "") for name in ("__name__", "name", "type"))
        return next((str(name) for name in names if name), "")

    @property
    def arguments(self) -> tuple[str, ...]:
        """What it takes beside the image and variables: names of session fixtures."""
        return tuple(name for name in self._taken if name != VARIABLES)

    @property
    def takes_variables(self) -> bool:
        return VARIABLES in self._taken

    @property
    def _taken(self) -> tuple[str, ...]:
        taken = list(inspect.signature(self.function).parameters.values())[1:]
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return tuple(p.name for p in taken if p.kind in by_name and p.default is p.empty)

    @property
    def marks(self) -> list[Any]:
        """pytest's, such as ``skipif``."""
        return list(getattr(self.function, "pytestmark", []))

    @property
    def place(self) -> tuple[Path, int] | None:
        """The file and the line (from 0) where it was written; None: it is no function."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return (Path(code.co_filename).resolve(), code.co_firstlineno - 1) if code else None

    def problems(self, build: str) -> Iterator[str]:
        """What is wrong with it, a sentence each."""
        given: Any = self.function  # whatever the author wrote
        if not callable(given) or inspect.isclass(given) or type(given).__module__ == FIXTURES:
            yield (
                f"@{build}.after_image is given {given!r}: write it above a plain "
                "function, `def publish(image: harness.Image) -> None`, or give it a "
                "post-processor, calls included"
            )
            return
        shown = self.name or repr(self.function)
        takes = next(iter(inspect.signature(self.function).parameters), None)
        if takes != "image":
            yield (
                f"{shown!r}, which follows the image of the build {build!r}, takes "
                f"{takes or 'nothing'!r} as its first argument: write "
                f"`def {shown}(image: harness.Image) -> None`"
            )
        if any(kind(self.function) for kind in NOT_CALLED):
            yield (
                f"{shown!r}, which follows the image of the build {build!r}, is a generator or "
                "async function, which would never run: write a plain function"
            )
        yield from self._name_problems(build, shown)

    def _name_problems(self, build: str, shown: str) -> Iterator[str]:
        if not re.fullmatch(NAME, self.name):
            yield (
                f"what follows the image of the build {build!r} is named {shown!r}: a name is of "
                'letters, digits, ".", "_" and "-", and begins with a letter or digit'
            )
        elif self.name in STAGES or self.name.startswith("test"):
            why = "is a stage's name" if self.name in STAGES else "pytest takes for a test"
            yield (
                f"what follows the image of the build {build!r} is named {shown!r}, which {why}: "
                "give it another name"
            )
