"""One build, from boot to destroy.

The build lives in a thread of its own. It boots, connects and provisions, then tells its listener
and waits for a word: `seal` if tests of the sealed machine come next, in the end `decide` or
`release`. Whatever happens, what it created is removed before the thread ends.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from harness import (
    assertions,
    checkpoints,
    cloud_init,
    console,
    kept,
    said,
    seal,
    up_to_date,
    users,
)
from harness.chain import OutOfStepError
from harness.definition import source_name
from harness.errors import CancelledError, HarnessError
from harness.events import (
    BuildExpected,
    BuildFinished,
    BuildStarted,
    ConsoleRead,
    ImageFollowed,
    MachineKept,
    MachineLaunched,
    Notice,
    StageStarted,
    TestFinished,
)
from harness.gate import FAILED, NOT_RUN, PHASES, TestRecord
from harness.machine import Machine
from harness.secret import secrets_in
from harness.states import State, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.definition import BuildDefinition
    from harness.gate import Gate, Phase
    from harness.kept import Kept
    from harness.model import Image
    from harness.sources.base import Connection, Context, Instance, Source

PROVISION_STAGES = ("base", "save", "boot", "connect", "provision")
IMAGE_STAGES = ("seal", "capture", "verify", "publish")
PATIENCE = 5.0
"""Seconds that a build function may go on when its run is stopped."""


class BuildRun:
    """One build in one session."""

    def __init__(
        self,
        definition: BuildDefinition,
        source: Source,
        gate: Gate,
        context: Context,
        *,
        hold_on_failure: bool = False,
        keep_on_failure: bool = False,
        attached: Kept | None = None,
    ) -> None:
        """``attached``: the machine to take, in place of a new one."""
        self.name = definition.build_name(source)
        self.definition = definition
        self.source = source
        self.gate = gate
        self.context = context
        self.state = State.WAITING
        self.error: BaseException | None = None
        self.error_shown = False
        self.failed_stage = "the start"
        self.image: Image | None = None
        self.up_to_date: Image | None = None
        """An image of an earlier run that was made of the same; then there is no machine."""
        self.followed: dict[str, TestRecord] = {}
        """What became of each function that follows its image, as far as it ran."""
        self.reason = ""
        self.machine: Machine | None = None
        self.host: assertions.Host | None = None
        self._hold_on_failure = hold_on_failure
        self._keep_on_failure = keep_on_failure
        self._attached = attached
        self._ssh_config = b""
        self._instance: Instance | None = None
        self._record = checkpoints.Record(source, context, attached)
        self._words: queue.SimpleQueue[Word] = queue.SimpleQueue()
        self._listener: Callable[[BuildRun], None] = lambda _: None
        self._thread: threading.Thread | None = None
        self._stage_now = ""
        self._sealing = False
        self._stopping = False
        self._undo = contextlib.ExitStack()
        self._ending = threading.Lock()

    @property
    def seconds(self) -> Mapping[str, float]:
        """How long each of its stages took."""
        return self.context.stopwatch.seconds

    @property
    def machine_id(self) -> str:
        return self.machine.id if self.machine else ""

    # What the main thread says

    def start(self, arguments: Mapping[str, Any], listener: Callable[[BuildRun], None]) -> None:
        """Set off; ``listener`` is called, in the build's thread, with each new state."""
        self._listener = listener
        self.state = State.RUNNING
        self._begin()
        # A daemon: a stuck system call must not keep a cancelled session from ending.
        self._thread = threading.Thread(
            target=self._live, args=(arguments,), name=f"build {self.name}", daemon=True
        )
        self._thread.start()

    def hide_secrets(self) -> None:
        """Mask what the source's options and the build's module have that is secret."""
        module = secrets_in(self.definition.file.name, self.definition.origin.module)
        for name, secret in (*self.context.variables.secrets(), *self.source.secrets(), *module):
            self.context.hide(name, secret)

    def announce(self) -> None:
        """Have it on record before its turn comes: whoever runs it may be killed."""
        self._introduce(BuildExpected)

    def never_start(self, reason: str = "", error: BaseException | None = None) -> None:
        """It is over before it began: nothing wants its machine, or its fixtures failed."""
        self.reason, self.error = reason, error
        self._begin()
        self._finish()

    def seal(self) -> None:
        """Its first tests are over: seal the machine for those marked `harness.sealed`."""
        self._words.put(Word.SEAL)

    def decide(self) -> None:
        """Its tests are over: take the image if the gate is open, else let the machine go."""
        refusal = self.gate.refusal(self.machine_id) if self.host else ""
        if refusal or not self.host:
            self.release(refusal)
            return
        self._words.put(Word.IMAGE)

    def release(self, reason: str) -> None:
        """There will be no image: let the machine go."""
        self.reason = self.reason or reason
        self._words.put(Word.RELEASE)

    def report_tests(self) -> None:
        """Tell the readers what became of each of the build's tests."""
        records = self.gate.results(self.machine_id)
        for nodeid, record in records.items():
            facts = (record.outcome, record.seconds, record.reason, record.flaky)
            self._emit(TestFinished(self.name, nodeid, *facts))
        if any(record.phases for record in records.values()):
            self.context.stopwatch.tell("test", sum(r.seconds for r in records.values()))

    def follow(self, name: str, phase: Phase, files: Sequence[str] = ()) -> None:
        """What pytest has reported of a function that follows the image."""
        record = self.followed.setdefault(name, TestRecord())
        record.phases.append(phase)
        if phase.when == PHASES[-1]:
            told = (record.outcome, record.seconds, record.reason)
            self._emit(ImageFollowed(self.name, name, *told, tuple(files)))

    @property
    def all_followed(self) -> bool:
        """Whether all that follows its image has been run, and none of it failed."""
        records = [self.followed.get(f.name, TestRecord()) for f in self.definition.followers]
        return not {FAILED, NOT_RUN} & {record.outcome for record in records}

    def note_image(self) -> None:
        """Nothing is left to do with the image: a later run may find the build up to date."""
        assert self.image is not None
        up_to_date.note(self.context.input_hash, self.image, self._record.calls)

    def join(self) -> None:
        """Wait until the build is over, and all that it created gone.

        Of a run that is stopped nothing but the build function is not ours and may go on: after
        a while it is left to itself, and what the build created is removed all the same.
        """
        since = time.monotonic()
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.1)
            if self._stage_now != "provision" or not self.context.cancel.is_set():
                since = time.monotonic()
            elif time.monotonic() > since + PATIENCE:
                self._emit(Notice(self.name, "its function does not end: going on without it"))
                self._end(CancelledError("the run is being stopped"))
                return

    # What happens in its thread

    def _live(self, arguments: Mapping[str, Any]) -> None:
        error: BaseException | None = None
        with self._heard():
            try:
                self._stages(arguments)
            except BaseException as raised:  # noqa: BLE001 - reported at the item that it belongs to
                error = raised
            self._end(error)

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        """What is printed, logged and warned in the build's thread is its output."""
        with (
            self.context.events.output(self.name) as take,
            said.to(lambda words: take("print", words.encode(errors="replace"))),
        ):
            yield

    def _end(self, error: BaseException | None) -> None:
        """Remove what the build created, whoever calls this first."""
        with self._ending:
            if self.state is not State.FINISHED:
                self.error = self.error or error
                if self._is_to_be_kept():
                    self._keep()
                self._undo.close()
                self.context.pins.close()
                self._finish()

    def _stages(self, arguments: Mapping[str, Any]) -> None:
        function = functools.partial(self.definition.function, **arguments)
        if self.context.image_age:
            self.up_to_date = up_to_date.find(self.source, self.context, function)
        if self.up_to_date is not None:
            return
        try:
            instance, connection = self._provisioned(function)
        except OutOfStepError as error:
            self._record.give_up(str(error))
            self._undo.close()
            instance, connection = self._provisioned(function)
        read_console = functools.partial(self._read_console, instance)
        word = self._tested(State.READY)
        if word is not Word.RELEASE:
            with self._held_on_failure(), console.shown(read_console):
                self._seal(instance)
        if word is Word.SEAL:
            word = self._tested(State.SEALED)
        if word is Word.IMAGE:
            self.image = self._take_image(instance, connection)
            if not self.definition.followers:
                self.note_image()

    def _provisioned(self, function: Callable[[Machine], None]) -> tuple[Instance, Connection]:
        instance = self._boot(function)
        read_console = functools.partial(self._read_console, instance)
        with console.shown(read_console):
            connection = self._connect(instance)
        with self._held_on_failure(), console.shown(read_console):
            self._provision(instance, connection, function)
        return instance, connection

    def _boot(self, function: Callable[[Machine], None]) -> Instance:
        launched: list[Instance] = []
        self._undo.callback(self._destroy, launched)
        if self._attached is not None:  # taking it over forgets what it takes to get at it
            self._ssh_config = self._attached.ssh_config.read_bytes()
        with self._stage("boot"):
            launched.append(self._record.launch(function))
        instance = self._instance = launched[0]
        self._emit(MachineLaunched(self.name, instance.id, instance.inputs))
        return instance

    def _connect(self, instance: Instance) -> Connection:
        with self._stage("connect"):
            connection = self.source.connect(instance, self.context)
            self._undo.callback(connection.close)
            if not instance.settled:
                cloud_init.wait(connection, self.name)
        return connection

    def _provision(
        self, instance: Instance, connection: Connection, function: Callable[[Machine], None]
    ) -> None:
        chain = self._record.chain()
        self.machine = Machine(self.source, self.context, chain, instance, connection)
        with self._stage("provision"):
            with self._record.recorded(chain, instance, connection):
                function(self.machine)
            if not self._record.replayed_all:
                connection.renew()  # groups, limits and PATH may have changed
        user = users.target(self.definition.sudo, self.source.ssh_username)
        reveal = functools.partial(self.context.reveal, "an argument of a test's command")
        self.host = assertions.host(connection, self.name, user, reveal)

    def _seal(self, instance: Instance) -> None:
        assert self.machine is not None
        self._sealing = True
        if self.definition.seal:
            with self._stage("seal"):
                seal.seal(self.machine, instance.public_key, self.definition.seal)

    def _take_image(self, instance: Instance, connection: Connection) -> Image:
        up_to_date.tell_inputs(self.source, self.context, self._record.calls)
        self._stopping = True
        with self._stage("capture"):
            self.source.stop(instance, connection, self.context)
            candidate = self.source.capture(instance, self.context)
        # Here a verify stage will boot the candidate before anybody can see it.
        with self._stage("publish"):
            return self.source.publish(candidate, self.context)

    def _read_console(self, instance: Instance) -> bytes:
        try:
            data = self.source.console(instance, self.context)
        except (HarnessError, OSError) as error:  # what it is read for matters more
            self._emit(Notice(self.name, f"its console cannot be read: {error}"))
            return b""
        self._emit(ConsoleRead(self.name, data))
        return data

    def _destroy(self, launched: list[Instance]) -> None:
        for instance in launched:
            self._read_console(instance)
        try:
            with self._stage("destroy"):
                self.source.destroy(launched[0] if launched else None, self.context)
        except Exception as error:  # noqa: BLE001 - the journal knows what is left; say so, go on
            self._emit(
                Notice(self.name, f"left behind, the next run will try to remove it: {error}")
            )

    def _is_to_be_kept(self) -> bool:
        """Whether somebody may want to look at the machine, and it is there to be looked at."""
        if self._stopping or not self._keep_on_failure:
            return False
        if self._attached is not None:  # somebody has kept it before, and wants it still
            return self._instance is not None
        if self.machine is None:
            return False
        failed = self.error is not None or self.gate.has_failed(self.machine_id)
        return failed and not isinstance(self.error, CancelledError)

    def _keep(self) -> None:
        """Let the machine run on; if that cannot be, it goes like any other."""
        try:
            keeping = self._kept()
        except (HarnessError, OSError) as error:
            self._emit(Notice(self.name, f"its machine could not be kept: {error}"))
            return
        self._emit(MachineKept(self.name, keeping.login))
        self._undo.pop_all()

    def _kept(self) -> Kept:
        if self.machine is not None:
            return self.machine.keep(sealed=self._sealing)
        assert self._attached is not None  # nothing was done to it yet
        assert self._instance is not None
        self.source.keep(self._instance, self.context)
        kept.put_back(self._attached, self._ssh_config, self.context.journal)
        return self._attached

    @contextlib.contextmanager
    def _held_on_failure(self) -> Iterator[None]:
        """Keep the machine until a failure has been looked at (``--pdb``)."""
        try:
            yield
        except Exception as error:
            if self._hold_on_failure and not isinstance(error, CancelledError):
                self.error = error
                self._tell(State.FAILED)
                self._next_word()
            raise

    def _tested(self, state: State) -> Word:
        """Have tests run on the machine; what comes then."""
        self._emit(StageStarted(self.name, "test"))
        self._tell(state)
        return self._next_word()

    def _next_word(self) -> Word:
        while True:
            self.context.cancel.check()
            with contextlib.suppress(queue.Empty):
                return self._words.get(timeout=0.1)

    def _finish(self) -> None:
        image = self.image or self.up_to_date
        self.reason = "" if image else self.reason or self._why_no_image()
        self._emit(BuildFinished(self.name, image, self.reason, self.up_to_date is not None))
        self._tell(State.FINISHED)

    def _why_no_image(self) -> str:
        if isinstance(self.error, CancelledError):
            return "the run was stopped: no image was taken"
        if self.error:
            line = next(iter(str(self.error).splitlines()), type(self.error).__name__)
            verb = "was skipped" if type(self.error).__name__ == "Skipped" else "failed"
            return f"{self.failed_stage} {verb} ({line}): no image was taken"
        return "not provisioned: no image was taken"

    def _begin(self) -> None:
        self._introduce(BuildStarted)

    def _introduce(self, kind: type[BuildExpected]) -> None:
        self._emit(
            kind(
                self.name,
                file=str(self.definition.file),
                source_type=self.source.type,
                inputs=self._inputs(),
            )
        )

    def _inputs(self) -> dict[str, Any]:
        variables = self.context.variables.shown()
        own = {"name": source_name(self.source)} | ({"variables": variables} if variables else {})
        return {**self.source.options(), **own}

    def _tell(self, state: State) -> None:
        self.state = state
        self._listener(self)

    def _emit(self, event: Any) -> None:
        self.context.events.emit(event)

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self._stage_now = name
        try:
            with self.context.stopwatch.stage(name):
                yield
        except BaseException:
            if self.error is None:
                self.failed_stage = name
            raise
        finally:
            self._stage_now = ""
