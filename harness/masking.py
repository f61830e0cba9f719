"""What a run keeps to itself: its secrets, and their places in all that it shows."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness import disguises, occurrences
from harness.secret import MASK, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.occurrences import Span

SHORTEST = 6
"""Characters that a secret, or a line of it, has at least if it is to be masked."""
COMMON = {
    "changeme",
    "debian",
    "default",
    "develop",
    "failed",
    "harness",
    "localhost",
    "machine",
    "nobody",
    "packer",
    "passed",
    "password",
    "private",
    "production",
    "provision",
    "public",
    "secret",
    "ubuntu",
    "vagrant",
}
"""Words that are not masked, whatever the case: too much else would go with them."""

_MASK = MASK.encode()


class Masker:
    """The secrets of one run. Knows more and more of them; may be asked from any thread."""

    def __init__(self) -> None:
        self._spelled: frozenset[bytes] = frozenset()
        self._encoded: frozenset[bytes] = frozenset()
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def hide(self, secret: Secret | str) -> str | None:
        """Mask a text from now on.

        Returns:
            Why it is not masked, the first time that it is asked to be; None: it is.
        """
        text = secret.reveal() if isinstance(secret, Secret) else secret
        text = text.strip()
        with self._lock:
            if reason := _unfit(text):
                first = bool(text) and text not in self._told
                self._told.add(text)
                return reason if first else None
            parts = [
                text,
                *(line for each in text.splitlines() if not _unfit(line := each.strip())),
            ]
            self._spelled |= {form for part in parts for form in disguises.spelled(part)}
            self._encoded |= disguises.encoded(text)
        return None

    def data(self, data: bytes) -> bytes:
        """Bytes without the secrets that are whole in them."""
        if not self._spelled:
            return data
        stream = MaskedStream(self)
        return stream.feed(data) + stream.flush()

    def text(self, text: str) -> str:
        """A text without the secrets that are whole in it."""
        if not self._spelled:
            return text
        data = disguises.raw(text)
        masked = self.data(data)
        return text if masked == data else masked.decode(errors="surrogateescape")

    def shortened(self, text: str) -> str:
        """As `text`, where pieces may have been cut out of the text, and secrets with them.

        So pytest shows long values and differences. A piece of a secret that ends where something
        was left out, or begins there, is masked as well, if it has `SHORTEST` characters.
        """
        if not self._spelled:
            return text
        data = self.data(disguises.raw(text))
        parts, at = [], 0
        for start, stop in occurrences.merged(
            occurrences.stumps(self._spelled | self._encoded, data, SHORTEST)
        ):
            parts += [data[at:start], _MASK]
            at = stop
        return b"".join([*parts, data[at:]]).decode(errors="surrogateescape")

    def value(self, value: Any) -> Any:
        """A value with all texts in it masked: mappings, lists and dataclasses are gone through."""
        kinds: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
            (Secret, lambda _: MASK),
            (str, self.text),
            (bytes, self.data),
            (Mapping, lambda m: {self.value(k): self.value(v) for k, v in m.items()}),
            (list | tuple, lambda each: [*map(self.value, each)]),
        )
        for kind, masked in kinds:
            if isinstance(value, kind):
                return masked(value)
        if not dataclasses.is_dataclass(value) or isinstance(value, type):
            return value
        fields = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(value, **{f: self.value(getattr(value, f)) for f in fields})

    def spans(self, data: bytes) -> list[Span]:
        """Where secrets stand, in order; those that overlap are one."""
        if not self._spelled:
            return []
        found = [*occurrences.places(self._spelled, data), *occurrences.places(self._encoded, data)]
        joined, origin = occurrences.unfolded(data)
        if joined is not data:
            places = occurrences.places(self._encoded, joined)
            found += [(origin(start), origin(stop - 1) + 1) for start, stop in places]
        return occurrences.merged(found)

    def open_from(self, data: bytes) -> int:
        """Where the end of data begins that may be the beginning of a secret."""
        return min(occurrences.opening(self._spelled, data), self._open_encoded(data))

    def _open_encoded(self, data: bytes) -> int:
        if not self._encoded:
            return len(data)
        longest = max(map(len, self._encoded))
        skipped = max(0, len(data) - 2 * longest - 2 * occurrences.RUN)
        joined, origin = occurrences.unfolded(data[skipped:], occurrences.OPEN_FOLD)
        at = occurrences.opening(self._encoded, joined)
        return skipped + origin(at) if at < len(joined) else len(data)


class MaskedStream:
    """One stream's bytes as they come, masked; what may be half a secret waits for the rest."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._data = b""
        """What is held back, behind the last bytes of what is out: see `occurrences.unfolded`."""
        self._out = 0
        """So many bytes of it are out."""
        self._covered = 0
        """To here they belong to a secret whose mask is out, if that is further."""

    def feed(self, data: bytes) -> bytes:
        """What is sure by now."""
        self._data += data
        return self._release(max(self._out, self._masker.open_from(self._data)))

    def flush(self) -> bytes:
        """What was held back, when nothing follows."""
        return self._release(len(self._data))

    def _release(self, end: int) -> bytes:
        parts, at = [], self._out
        known = (self._out, self._covered)
        for start, stop in occurrences.merged([known, *self._masker.spans(self._data)]):
            if start >= end and start > self._out:
                break
            if stop > self._out:
                parts += [self._data[at:start], b"" if start < self._covered else _MASK]
                at = stop
        parts.append(self._data[at:end])
        kept = max(0, end - occurrences.RUN)
        self._data, self._out, self._covered = self._data[kept:], end - kept, at - kept
        return b"".join(parts)


def _unfit(text: str) -> str | None:
    if len(text) < SHORTEST:
        return f"has fewer than {SHORTEST} characters"
    return "is a common word" if text.lower() in COMMON else None
