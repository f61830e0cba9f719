"""A source without a machine, for tests of everything above the sources: ours and yours."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from harness import cache, reboot
from harness.errors import DisconnectedError, SourceError
from harness.model import CommandResult, Image, LocalDemand, Resource
from harness.seal import MARK
from harness.sources.base import Connection, Context, Instance, Source, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

BEFORE_BOOT = ("base", "save")
"""Parts of a launch that are stages of their own, where they take any time."""
STAGES = (*BEFORE_BOOT, "boot", "connect", "seal", "stop", "capture", "publish", "destroy")


class Diary:
    """What happened to the machines of a `FakeSource`, in order; safe to read at any time."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def write(self, build: str, what: str) -> None:
        with self._lock:
            self._entries.append((build, what))

    def of(self, build: str) -> list[str]:
        return [what for name, what in self._entries if name == build]

    @property
    def entries(self) -> list[tuple[str, str]]:
        return list(self._entries)


class FakeStream:
    """An answer, read as a stream."""

    def __init__(self, result: CommandResult) -> None:
        self._result = result
        self._rest = io.BytesIO(result.stdout_bytes)

    def read(self, size: int = -1, /) -> bytes:
        return self._rest.read(size)

    def finish(self) -> CommandResult:
        return self._result


class FakeConnection:
    """Answers commands from a table; anything else succeeds silently."""

    def __init__(self, source: FakeSource, context: Context) -> None:
        self._source, self._context = source, context
        self._boots = 1
        self.lost = False

    def run(
        self,
        command: str,
        *,
        text: str | None = None,
        stdin: bytes | Iterable[bytes] = b"",
        timeout: float | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> CommandResult:
        del timeout
        data = (stdin if isinstance(stdin, bytes) else b"".join(stdin)).decode(errors="replace")
        given = f"{command}\n{text}\n{data}"
        if MARK in given:
            self._source._stage("seal", self._context)  # noqa: SLF001 - the two are one
        result = self._answer(command, given)
        if on_output is not None:
            on_output("stdout", result.stdout_bytes)
            on_output("stderr", result.stderr_bytes)
        return result

    @contextlib.contextmanager
    def stream(
        self, command: str, *, text: str | None = None, timeout: float | None = None
    ) -> Iterator[Stream]:
        del timeout
        yield FakeStream(self._answer(command, f"{command}\n{text}"))

    def execute(
        self, command: str, *, script: str | None = None, timeout: float | None = None
    ) -> CommandResult:
        del script, timeout
        return self._answer(command, command)

    def renew(self, *, timeout: float = 60, alive: Callable[[], str | None] | None = None) -> None:
        del timeout
        self._context.cancel.check()
        if alive is not None:
            alive()
        self.lost = False

    def ssh_config(self, directory: Path) -> Path:
        path = directory / "ssh_config"
        path.write_text("Host default\n  HostName fake.invalid\n", encoding="utf-8")
        return path

    def close(self) -> None:
        self._source.diary.write(self._context.build, "hung up")

    def _answer(self, command: str, text: str) -> CommandResult:
        self._context.cancel.check()
        if self.lost:
            raise DisconnectedError(f"the connection was lost before: {command}")
        for key, (status, stdout, stderr) in self._source.answers.items():
            if key in text:
                return CommandResult(command, status, stdout.encode(), stderr.encode())
        if reboot.REBOOT in text:
            self._source.diary.write(self._context.build, "reboot")
            self._boots += 1
            self.lost = True
        boot_id = f"boot {self._boots}" if reboot.BOOT_ID in text else ""
        return CommandResult(command, 0, boot_id.encode())


@dataclass(frozen=True)
class FakeInstance:
    id: str
    public_key: str = "ssh-ed25519 AAAAfake"
    settled: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FakeCheckpoints:
    """What machines of a `FakeSource` have had, in the cache."""

    source: FakeSource
    context: Context

    @property
    def directory(self) -> Path:
        return cache.directory() / "fake-checkpoints"

    def calls(self) -> list[list[dict[str, Any]]]:
        return [json.loads(path.read_text()) for path in self.directory.glob("*.json")]

    def resume(self, key: str) -> Instance:
        del key
        self.source._stage("resume", self.context)  # noqa: SLF001 - the two are one
        return self.source._instance(self.context)  # noqa: SLF001 - see above

    def save(
        self,
        instance: Instance,
        connection: Connection,
        key: str,
        calls: Sequence[Mapping[str, Any]],
    ) -> None:
        del instance, connection
        self.source._stage("save", self.context)  # noqa: SLF001 - see above
        path = self.directory / f"{key}.json"
        path.unlink(missing_ok=True)

        def write(partial: Path) -> None:
            partial.write_text(json.dumps(calls))

        cache.entry(path, self.context.cancel, write)


@dataclass(frozen=True)
class FakeSource(Source):
    """A source that boots nothing, and whose machines reboot when they are told to.

    Args:
        name, params: as for every source.
        seconds: how long a stage takes, by its name (base, save, boot, connect, seal, stop,
            capture, publish, destroy); default 0.
        fails: stages that fail, with the message.
        demands: what a machine needs of this computer; default nothing.
        prints: what its console says; default: nothing.
        answers: what a command answers whose text contains the key: exit status, stdout, stderr.
        saves: its machines are saved while they are provisioned, as far as that goes without a
            machine. Default False.
        diary: where it tells what happened; default: a diary of its own.

    Example:
        ```python
        source = FakeSource(seconds={"boot": 0.5}, answers={"nginx -v": (0, "1.22", "")})
        ```
    """

    type: ClassVar[str] = "fake"
    name: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    ssh_username: str = "root"
    seconds: Mapping[str, float] = field(default_factory=dict)
    fails: Mapping[str, str] = field(default_factory=dict)
    demands: LocalDemand = field(default_factory=LocalDemand)
    prints: str = ""
    answers: Mapping[str, tuple[int, str, str]] = field(default_factory=dict)
    saves: bool = False
    diary: Diary = field(default_factory=Diary, compare=False)

    def validate(self, context: Context) -> None:
        del context

    def options(self) -> dict[str, Any]:
        return {"seconds": dict(self.seconds), "fails": dict(self.fails)}

    def local_demand(self) -> LocalDemand:
        return self.demands

    def checkpoints(self, context: Context) -> FakeCheckpoints | None:
        return FakeCheckpoints(self, context) if self.saves and not context.cold else None

    def launch(self, context: Context) -> Instance:
        instance = self._instance(context)
        for part in (name for name in BEFORE_BOOT if name in self.seconds):
            with context.stopwatch.stage(part):
                self._stage(part, context)
        self._stage("boot", context)
        return instance

    def connect(self, instance: Instance, context: Context) -> Connection:
        del instance
        self._stage("connect", context)
        return FakeConnection(self, context)

    def console(self, instance: Instance, context: Context) -> bytes:
        del instance, context
        return self.prints.encode()

    def stop(self, instance: Instance, connection: Connection, context: Context) -> None:
        del instance, connection
        self._stage("stop", context)

    def capture(self, instance: Instance, context: Context) -> Image:
        self._stage("capture", context)
        checksum = hashlib.sha256(instance.id.encode()).hexdigest()
        return Image(
            f"image-of-{instance.id}",
            context.build,
            self.type,
            "fake",
            0,
            f"sha256:{checksum}",
            properties={"input_hash": context.input_hash} if context.input_hash else {},
        )

    def publish(self, image: Image, context: Context) -> Image:
        self._stage("publish", context)
        return image

    def find_image(self, made_of: str, noted: Image | None, context: Context) -> Image | None:
        del made_of, context
        return noted

    def keep(self, instance: Instance, context: Context) -> dict[str, Any]:
        self.diary.write(context.build, "keep")  # even if the run is being stopped
        if "keep" in self.fails:
            raise SourceError(self.fails["keep"])
        return {"id": instance.id}

    def reopen(self, instance: Instance, connection: Connection, context: Context) -> None:
        del instance, connection
        self._stage("reopen", context)

    def attach(self, record: Mapping[str, Any], context: Context) -> Instance:
        self._stage("attach", context)
        return FakeInstance(record["id"])

    def destroy(self, instance: Instance | None, context: Context) -> None:
        self.diary.write(context.build, "destroy")
        time.sleep(self.seconds.get("destroy", 0))  # even if the run is being stopped
        super().destroy(instance, context)

    @classmethod
    def remove(cls, resource: Resource) -> bool:
        del resource
        return True

    def _instance(self, context: Context) -> FakeInstance:
        instance = FakeInstance(f"fake-{secrets.token_hex(4)}")
        context.journal.intend(Resource("instance", instance.id, self.type, context.build))
        return instance

    def _stage(self, stage: str, context: Context) -> None:
        self.diary.write(context.build, stage)
        context.cancel.sleep(self.seconds.get(stage, 0))
        if stage in self.fails:
            raise SourceError(self.fails[stage])
