"""What happens in a run, as frozen events, and the dispatcher that hands them to its readers.

The lifecycle tells; reports, logs and the terminal listen. Neither knows the other.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.masking import MaskedStream, Masker
from harness.units import human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.model import Image


@dataclass(frozen=True)
class Event:
    build: str


@dataclass(frozen=True)
class BuildExpected(Event):
    """A build will be put to work; ``inputs`` is what its image is made from."""

    file: str
    source_type: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildStarted(BuildExpected):
    """A build was put to work."""


@dataclass(frozen=True)
class MachineLaunched(Event):
    machine_id: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MachineKept(Event):
    """A machine runs on when the run is over; ``login`` is a command that opens a shell on it."""

    login: str


@dataclass(frozen=True)
class StageStarted(Event):
    """Begun, or gone on with after one that was part of it."""

    stage: str


@dataclass(frozen=True)
class StageFinished(Event):
    """``error`` is None where the stage did what it should."""

    stage: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class CallFinished(Event):
    """A provisioning call: ``shell apt-get update``.

    ``reason`` says why it ran although calls are answered from the record where they can be; None:
    it was; empty: this run has no record.
    """

    call: str
    seconds: float
    reason: str | None = ""


@dataclass(frozen=True)
class Output(Event):
    """A piece of a build's output; ``stream`` is command, stdout, stderr, console or print."""

    stream: str
    data: bytes


@dataclass(frozen=True)
class ConsoleRead(Event):
    """What a machine has printed on its console so far, as far as its source knows."""

    data: bytes


@dataclass(frozen=True)
class Notice(Event):
    """A line that a person should see, whatever the verbosity."""

    text: str


@dataclass(frozen=True)
class Progress(Event):
    """How far something long has come, every few seconds; in bytes, ``total`` None: unknown."""

    what: str
    done: int
    total: int | None = None

    @property
    def text(self) -> str:
        if not self.total:
            return f"{self.what}: {human(self.done)}"
        share = 100 * self.done // self.total
        return f"{self.what}: {human(self.done)} of {human(self.total)} ({share} %)"


@dataclass(frozen=True)
class TestFinished(Event):
    """``outcome``: passed, failed, skipped, xfailed, xpassed or not run."""

    __test__ = False

    nodeid: str
    outcome: str
    seconds: float = 0.0
    reason: str = ""
    flaky: bool = False
    """It failed, and passed when it was run again."""


@dataclass(frozen=True)
class BuildFinished(Event):
    """The build is over and its machine is gone; ``reason`` says why there is no image.

    Where it is ``up_to_date``, the image is an earlier run's, and there was no machine.
    """

    image: Image | None
    reason: str = ""
    up_to_date: bool = False


@dataclass(frozen=True)
class ImageFollowed(Event):
    """What follows an image is over; ``outcome`` is a test's, ``files`` what it made, if it says.

    It comes after `BuildFinished`.
    """

    name: str
    outcome: str
    seconds: float = 0.0
    reason: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageRemoved(Event):
    """The image is gone, as a post-processor was told: what was made of it stays."""


class Dispatcher:
    """Hands each event to every reader, one event at a time, from whichever thread it comes.

    What the run's `masker` knows to be secret no reader sees.
    """

    def __init__(self) -> None:
        self.masker = Masker()
        self._readers: list[Callable[[Event], None]] = []
        self._lock = threading.RLock()

    def subscribe(self, reader: Callable[[Event], None]) -> None:
        self._readers.append(reader)

    def emit(self, event: Event) -> None:
        # The build's name is a key: never masked, so that readers still know whose event it is.
        self._hand_on(replace(self.masker.value(event), build=event.build))

    @contextlib.contextmanager
    def output(self, build: str) -> Iterator[Callable[[str, bytes], None]]:
        """What takes one command's output as it comes, a stream's name and bytes.

        A secret may come in pieces: the start of one is held back, until the command is over.
        """
        streams: dict[str, MaskedStream] = {}

        def take(name: str, data: bytes) -> None:
            tell(name, streams.setdefault(name, MaskedStream(self.masker)).feed(data))

        def tell(name: str, data: bytes) -> None:
            if data:
                self._hand_on(Output(build, name, data))

        try:
            yield take
        finally:
            for name, stream in streams.items():
                tell(name, stream.flush())

    def _hand_on(self, event: Event) -> None:
        with self._lock:
            for reader in self._readers:
                reader(event)
