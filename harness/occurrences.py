"""Where forms of a secret stand in data: whole, at its end only begun, or cut short."""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Span = tuple[int, int]

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
RUN = 16
"""As many characters of base64 before the end of a line make it likely to go on in the next."""
_FOLD = re.compile(rb"(?:\r?\n|(?:\\r)?\\n(?:['\"],?\r?\n[E>+?\- \t]*b?['\"])?)[ \t]*")
"""The end of a line; or of a literal that pytest has broken there, and the next one's beginning."""
OPEN_FOLD = re.compile(rb"(?:\r|\r?\n[ \t]*|\\|\\r|\\r\\|(?:\\r)?\\n[ \t]*)\Z")
_LEFT_OUT_BEFORE = re.compile(rb"(?m)(?:\.\.\.|^[E>]?[ \t]*(?:[-+?] +)?)b?['\"]?")
_LEFT_OUT_BEHIND = re.compile(rb"(?m)['\"]?(?:\.\.\.|$)")


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that overlap as one; empty ones are left out."""
    result: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result


def places(forms: Iterable[bytes], data: bytes) -> Iterator[Span]:
    for form in forms:
        at = data.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = data.find(form, at + 1)


def opening(forms: Iterable[bytes], data: bytes) -> int:
    """The earliest place from where data is the beginning of a form, but not all of it."""
    earliest = len(data)
    for form in forms:
        at = data.find(form[:1], max(0, len(data) - len(form) + 1), earliest)
        while at >= 0 and not form.startswith(data[at:]):
            at = data.find(form[:1], at + 1, earliest)
        earliest = at if at >= 0 else earliest
    return earliest


def stumps(forms: Iterable[bytes], data: bytes, shortest: int) -> Iterator[Span]:
    """What begins or ends a form, before or behind a place where something was left out."""
    pieces: dict[bytes, list[tuple[bytes, int]]] = {}
    for form in forms:
        for at in range(len(form) - shortest + 1):
            pieces.setdefault(form[at : at + shortest], []).append((form, at))
    for begin in (m.end() for m in _LEFT_OUT_BEFORE.finditer(data)):
        for form, at in pieces.get(data[begin : begin + shortest], ()):
            if data.startswith(form[at:], begin):
                yield begin, begin + len(form) - at
    for end in (m.start() for m in _LEFT_OUT_BEHIND.finditer(data)):
        for form, at in pieces.get(data[max(0, end - shortest) : end], ()):
            if data.endswith(form[: at + shortest], 0, end):
                yield end - at - shortest, end


def unfolded(
    data: bytes, end: re.Pattern[bytes] | None = None
) -> tuple[bytes, Callable[[int], int]]:
    """Data with the line ends taken out that base64 may have, and the way back to its places."""
    folds = [m.span() for m in _FOLD.finditer(data)]
    if end is not None and (last := end.search(data)) and last.span() not in folds:
        folds = [*(f for f in folds if f[1] <= last.start()), last.span()]
    starts, origins, parts, at, length = [0], [0], [], 0, 0
    for start, stop in folds:
        if start < RUN or data[start - RUN : start].translate(None, _BASE64):
            continue
        parts.append(data[at:start])
        length, at = length + start - at, stop
        starts.append(length)
        origins.append(stop)
    if not parts:
        return data, lambda place: place

    def origin(place: int) -> int:
        piece = bisect.bisect_right(starts, place) - 1
        return origins[piece] + place - starts[piece]

    return b"".join([*parts, data[at:]]), origin
