"""Whether an image is there that was made of exactly what a build would be made of now.

All that counts is in one hash: the source's options and base, the build's variables, the chain of
provisioning calls with the files that they use, the code of the tests with all that it imports, and
the harness's version. Secrets do not count.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from harness import cache, said
from harness.chain import Call, Chain, OutOfStepError, by_key
from harness.machine import Machine
from harness.model import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.sources.base import Context, Source


@dataclass(frozen=True)
class Made:
    """An image that a run made here, when (in seconds since 1970), and with which calls."""

    image: Image
    at: float
    calls: Sequence[Call]


def input_hash(source: Source, context: Context, calls: Sequence[Call]) -> str:
    """The hash of all that decides what a build's image is.

    Args:
        source: the build's.
        context: the build's.
        calls: those that provision its machine; what they answer does not count.
    """
    # What is secret stays out of it, even where an option takes no `harness.Secret`.
    options = context.events.masker.value({**source.options(), **source.facts(context)})
    version = metadata.version("pytest-image-harness")
    steps = [[call.method, call.arguments, call.files] for call in calls]
    variables = context.variables.inputs()
    parts = [context.build, source.type, options, variables, steps, context.code_digest, version]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def tell_inputs(source: Source, context: Context, calls: Sequence[Call] | None) -> None:
    """Let the build's context know the hash, unless its calls do not tell what was done."""
    if calls is not None:
        context.notes["input_hash"] = input_hash(source, context, calls)


def note(made: str, image: Image, calls: Sequence[Call] | None) -> None:
    """Remember of which inputs an image was made, if that is known."""
    if not made or calls is None:
        return
    directory().mkdir(parents=True, mode=0o700, exist_ok=True)
    path = directory() / f"{made}.json"
    partial = path.with_suffix(f".partial-{os.getpid()}")
    partial.touch(mode=0o600)  # what calls answered may be secret
    facts = {"image": image.as_dict(), "at": time.time(), "calls": [c.as_dict() for c in calls]}
    partial.write_text(json.dumps(facts), encoding="utf-8")
    partial.replace(path)


def find(source: Source, context: Context, function: Callable[[Machine], None]) -> Image | None:
    """The image, if it is there and young enough.

    The build function runs without a machine, as far as it goes: one that looks at what an unknown
    call answers cannot be told to be up to date.
    """
    known = dict(_noted())
    calls = by_key(call for made in known.values() for call in made.calls)
    chain = Chain(calls, had=math.inf, dry=True)
    finished = False
    with contextlib.suppress(OutOfStepError, Exception), said.to(lambda _: None):
        function(Machine(source, context, chain))
        finished = not chain.closed
    context.cancel.check()
    if not finished:
        return None
    wanted = input_hash(source, context, chain.calls)
    made = known.get(wanted)
    if made and made.at < time.time() - context.image_age:
        made = None
    return source.find_image(wanted, made.image if made else None, context)


def directory() -> Path:
    """Where it is noted what images were made of."""
    return cache.directory() / cache.IMAGES


def _noted() -> Iterator[tuple[str, Made]]:
    for path in directory().glob("*.json"):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # it is damaged
            facts = json.loads(path.read_text(encoding="utf-8"))
            calls = [Call(**call) for call in facts["calls"]]
            yield path.stem, Made(Image.from_dict(facts["image"]), facts["at"], calls)
