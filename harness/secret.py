"""`Secret`: a text that shows itself to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Never

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "***"
"""What stands in a secret's place wherever it would be shown."""


class Secret:
    """A text that must not be seen: a password, a token, a private key.

    Give it instead of a text: as a value of ``env=``, as an argument of ``machine.run``, as what
    ``machine.write`` writes, or in a source's options. It reads ``***`` in any f-string, log or
    traceback, and `reveal` gives the text itself. JSON and pickle refuse it.

    What a run has learned to be secret is masked in all that the run shows, together with its
    shell-quoted, JSON-escaped, URL-quoted and base64 forms and, of several lines, each line by
    itself. A run learns what its sensitive variables are (`harness.var`), what lies in its builds'
    modules, in checks that they share and in conftest.py files, what their sources' options hold
    and what its machines' calls and tests' commands are given. Two kinds of text are not masked,
    since they would hide half of a log, and a notice says so: one (or a line) of fewer than 6
    characters, and a common word such as ``password`` or ``localhost``.

    Args:
        value: the text.
        counts: whether a call that is given another text runs again, though it could be resumed
            from a checkpoint. Default False: secrets rotate, and what they open stays the same.

    Raises:
        ConfigurationError: it is no text.

    Example:
        ```python
        TOKEN = harness.Secret(os.environ["TOKEN"])

        @harness.build(harness.Qemu(base="debian-12"))
        def web(machine: harness.Machine) -> None:
            machine.shell('agent register --token-from-env TOKEN', env={"TOKEN": TOKEN})
        ```
    """

    __slots__ = ("_value", "counts")
    _value: str
    counts: bool

    def __init__(self, value: str, *, counts: bool = False) -> None:
        text: object = value
        if not isinstance(text, str):
            raise ConfigurationError(
                f"harness.Secret takes a text, and was given one of type {type(text).__name__}"
            )
        object.__setattr__(self, "_value", value)
        object.__setattr__(self, "counts", counts)

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __format__(self, specification: str) -> str:
        return format(MASK, specification)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self  # dataclasses.asdict copies

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is not pickled: what is pickled is written somewhere")

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"a Secret cannot be changed: {name}")


def reveal(value: str | Secret) -> str:
    """A text, whichever way it was given."""
    return value.reveal() if isinstance(value, Secret) else value


def secrets_in(name: str, value: object, *around: object) -> Iterator[tuple[str, Secret]]:
    """Each secret in a value, however deep in lists and mappings, with a name for messages.

    Args:
        name: the value's.
        value: the value.
        around: what it lies in; a value in itself is not gone through again.
    """
    if isinstance(value, Secret):
        yield name, value
    elif any(value is other for other in around):
        return
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from secrets_in(f"{name}[{key!r}]", each, value, *around)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from secrets_in(name, each, value, *around)


def hidden(value: Any) -> Any:
    """A value as JSON may know it: each secret in it is `MASK`."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Mapping):
        return {key: hidden(each) for key, each in value.items()}
    return [hidden(each) for each in value] if isinstance(value, list | tuple) else value
