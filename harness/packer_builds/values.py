"""A template's variables as ours, and what they come to."""

from __future__ import annotations

import functools
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness import packer
from harness.errors import MissingValueError
from harness.secret import reveal
from harness.variables import Nothing, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.given import Given
    from harness.packer import DeferredText, NoValue, Template

    Found = Mapping[str, str | DeferredText | NoValue]

_NEVER = str(uuid.UUID(int=0))


class Values:
    """The variables of one template.

    Attributes:
        declared: they as ours; their values come to what the template's resolution makes of them.

    Args:
        template: as it was read.
        path: where it lies.
    """

    def __init__(self, template: Template, path: Path) -> None:
        self._template = template
        self._path = path
        self._found: dict[int, tuple[Given, Found]] = {}
        self.declared = tuple(map(self._ours, template.variables.values()))

    def of(self, given: Given) -> Found:
        """What each comes to: the same whoever asks, all ``{{uuid}}`` in them included.

        Raises:
            TemplateError: one is wrong.
        """
        if id(given) not in self._found:
            found = packer.resolve_variables(
                self._template, dict(self._given(given)), self.facts(given), self._ways(given)
            )
            self._found[id(given)] = given, found  # which keeps its id its own
        return self._found[id(given)][1]

    def facts(self, given: Given) -> packer.Facts:
        started = datetime.fromtimestamp(given.started, UTC)
        facts = functools.partial(
            packer.Facts, started, Path.cwd(), self._path, dict(given.environ)
        )
        return facts() if given.started else facts(new_uuid=lambda: _NEVER)

    def _ours(self, variable: packer.Variable) -> Variable:
        return Variable(
            name=variable.name,
            default=Nothing.NOTHING if variable.default is None else variable.default,
            type=str,
            env="",
            sensitive=variable.sensitive,
            description="",
            place=variable.value.note("").removesuffix(": "),
            resolve=lambda given: self._text(variable.name, given),
        )

    def _text(self, name: str, given: Given) -> str:
        value = self.of(given)[name]
        if isinstance(value, packer.NoValue):
            raise MissingValueError(value.why)
        return str(value)  # one with fields is as it was written

    def _given(self, given: Given) -> Iterator[tuple[str, str]]:
        """What somebody has given; defaults are the template's own, and it knows them."""
        for variable in self.declared:
            found = given.written(variable)
            if found is not None and not found.is_default:
                yield variable.name, reveal(found.value)

    def _ways(self, given: Given) -> Callable[[str], str]:
        by_name = {variable.name: variable for variable in self.declared}
        return lambda name: given.ways(by_name[name])
