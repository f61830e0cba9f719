"""Values in the place of the variables that stand in a source's options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from harness import conversion
from harness.errors import ConfigurationError
from harness.options import takes_secret
from harness.secret import Secret
from harness.variables import Variable, filled, names_in, variables_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.given import Namespace
    from harness.sources.base import Source

S = TypeVar("S", bound="Source")


def declared_in(source: Source) -> Iterator[Variable]:
    """Each variable that stands for a value in the options."""
    for option in dataclasses.fields(source):  # type: ignore[arg-type]  # every source is one
        yield from variables_in(getattr(source, option.name))


def named_in(source: Source) -> Iterator[tuple[str, str]]:
    """What ``{var.…}`` names in the options, by option."""
    for option in dataclasses.fields(source):  # type: ignore[arg-type]  # as above
        yield from ((option.name, name) for name in names_in(getattr(source, option.name)))


def resolved(source: S, namespace: Namespace) -> S:
    """The same source with values where variables stood.

    Raises:
        ConfigurationError: a value is missing or wrong, or not of its option's type. It shows
            nothing that is sensitive.
    """
    hints, changed = type(source).hints(), {}
    try:
        for option in dataclasses.fields(source) if source.takes_variables else ():  # type: ignore[arg-type]  # as above
            value = getattr(source, option.name)
            new = _Filler(namespace, secret=takes_secret(hints.get(option.name))).fill(value)
            if new is not value:
                changed[option.name] = new
        return dataclasses.replace(source, **changed) if changed else source  # type: ignore[type-var]  # as above
    except ConfigurationError as error:
        end = told(source, namespace) if changed else ""
        raise ConfigurationError(namespace.masker().text(f"{error}{end}")) from None


def told(source: Source, namespace: Namespace) -> str:
    """For the end of a message: which variables the options use, and where from; empty: none."""
    names = {v.name for v in declared_in(source)} | {name for _, name in named_in(source)}
    used = [
        f"{name}={shown!r} from {namespace.value(name).origin}"
        for name, shown in namespace.shown().items()
        if name in names
    ]
    return f" (variables: {', '.join(used)})" if used else ""


class _Filler:
    """Puts values into one option; ``secret``: those that are may stay so."""

    def __init__(self, namespace: Namespace, *, secret: bool) -> None:
        self._namespace = namespace
        self._secret = secret

    def fill(self, value: Any) -> Any:
        """The value, itself if there is nothing to put into it."""
        if isinstance(value, Variable):
            found = self._namespace.value(value.name).value
            return found if self._secret else _revealed(found)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, PurePath):
            text = self._text(str(value))
            return value if text == str(value) else self._path(type(value), text)
        if isinstance(value, Mapping):
            new = {_revealed(self.fill(key)): self.fill(each) for key, each in value.items()}
            return value if all(new.get(k) is each for k, each in value.items()) else new
        if type(value) in (list, tuple, set, frozenset):
            filled_in = [self.fill(each) for each in value]
            same = all(a is b for a, b in zip(value, filled_in, strict=True))
            return value if same else type(value)(filled_in)
        return value

    def _text(self, text: str) -> str | Secret:
        used: list[Any] = []

        def value(name: str) -> str:
            found = self._namespace.value(name).value
            used.append(found)
            try:
                return conversion.text(found)
            except ValueError:
                raise ConfigurationError(
                    f"{text!r}: the variable {name!r} is None, which is no text"
                ) from None

        new = filled(text, value)
        if not used:
            return text
        return Secret(new) if self._secret and any(map(_has_secret, used)) else new

    def _path(self, kind: type[PurePath], text: str | Secret) -> PurePath | Secret:
        return text if isinstance(text, Secret) else kind(text)


def _has_secret(value: object) -> bool:
    return isinstance(value, Secret) or (isinstance(value, list) and any(map(_has_secret, value)))


def _revealed(value: Any) -> Any:
    if isinstance(value, list):
        return [_revealed(each) for each in value]
    return value.reveal() if isinstance(value, Secret) else value
