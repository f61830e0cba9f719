"""What a source is: a frozen dataclass of options, and the methods that the lifecycle calls."""

from __future__ import annotations

import abc
import dataclasses
import functools
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from harness.errors import SourceError
from harness.events import Notice
from harness.given import Given, Namespace
from harness.model import LocalDemand
from harness.options import Options
from harness.pins import Pins
from harness.secret import MASK, Secret, hidden, secrets_in
from harness.shared import Shared
from harness.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from harness.cancel import CancelToken
    from harness.events import Dispatcher
    from harness.journal import Journal
    from harness.model import CommandResult, Image, Resource

LOCAL_FOLDER = "local folder"
"""A kind of resource: a private folder on this computer, whatever the source."""


@dataclass(frozen=True)
class Context:
    """What a source needs beside its options: one for each build of a run."""

    build: str
    run_id: str
    started: int
    """When the run started, in seconds since 1970."""
    root: Path
    """Relative paths of options (``output_directory``) start here: pytest's rootdir."""
    directory: Path
    """Relative paths of inputs start here: the folder of the build's file."""
    journal: Journal
    cancel: CancelToken
    events: Dispatcher
    cold: bool = False
    """Boot every machine from the start, though a saved one could be resumed."""
    checkpoint_age: float = 0.0
    """How old a machine's provisioning may be that is resumed, in seconds; 0: no machine is saved
    while it is provisioned, and none of those is resumed."""
    image_age: float = 0.0
    """How old an image may be that is taken for up to date, in seconds; 0: none is looked for."""
    code_digest: str = ""
    """Of the code of the build and its tests, with all that it imports from the repository."""
    uuid: str = ""
    """The run's own."""
    git_sha: str = ""
    """Of the project's last commit when the run started; empty: there is none."""
    variables: Namespace = field(default_factory=Namespace)
    """The build's variables."""
    known_names: tuple[str, ...] = ()
    """What patterns may mean: names of the builds collected and of their sources, and the types
    of source that exist."""
    shared: Shared = field(default_factory=Shared, compare=False)
    """What the builds of the run have in common."""

    def reveal(self, name: str, value: str | Secret) -> str:
        """A text that somebody gave; where it is secret, the run hides it from now on.

        Args:
            name: what a notice calls it.
            value: the text.
        """
        if not isinstance(value, Secret):
            return value
        self.hide(name, value)
        return value.reveal()

    def hide(self, name: str, secret: str | Secret) -> None:
        """Mask a text in all that the run shows; a notice says so where that is not done."""
        if problem := self.events.masker.hide(secret):
            text = f"{name} {problem}, and is not masked where it appears"
            self.events.emit(Notice(self.build, text))

    @functools.cached_property
    def notes(self) -> dict[str, Any]:
        """What a source has found out, and would find out again, in this build."""
        return {}

    @property
    def input_hash(self) -> str:
        """Of all that the image is made of; a source puts it where the image can be found by it.

        Empty: not all is known.
        """
        found: str = self.notes.get("input_hash", "")
        return found

    @functools.cached_property
    def stopwatch(self) -> Stopwatch:
        """Times the build's stages; a source may time parts of its own (``base``, ``save``)."""
        return Stopwatch(self.build, self.events)

    @functools.cached_property
    def pins(self) -> Pins:
        """What the build uses of the cache until it is over."""
        return Pins()


class Stream(Protocol):
    """The output of a command that runs."""

    def read(self, size: int = -1, /) -> bytes:
        """Some of it; empty: that was all."""

    def finish(self) -> CommandResult:
        """Wait for its end; the output that was read is not in the result."""


class Commands(Protocol):
    """A way to run commands on a machine."""

    def run(
        self,
        command: str,
        *,
        text: str | None = None,
        stdin: bytes | Iterable[bytes] = b"",
        timeout: float | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> CommandResult:
        """Run on a channel of its own, its output handed on as it comes.

        ``text`` is what is run, if that is not the command itself, which names it in messages.
        """

    def stream(
        self, command: str, *, text: str | None = None, timeout: float | None = None
    ) -> AbstractContextManager[Stream]:
        """Run a command whose output is read as it comes."""


class Connection(Commands, Protocol):
    """A login on a machine; `harness.ssh` has the real one."""

    def execute(
        self, command: str, *, script: str | None = None, timeout: float | None = None
    ) -> CommandResult:
        """Run in the long-lived shell: one round trip.

        ``script`` is what is run, if that is not the command itself: shell of ours.
        """

    @property
    def lost(self) -> bool:
        """Whether it is known to be gone."""

    def renew(self, *, timeout: float = ..., alive: Callable[[], str | None] | None = None) -> None:
        """Log in afresh: after a reboot, or so that changed groups, limits and PATH count.

        ``alive`` is asked all the while: None, or a sentence why waiting is pointless.
        """

    def ssh_config(self, directory: Path) -> Path:
        """Write a file for `ssh -F` into a private directory: the machine is ``default``."""

    def close(self) -> None:
        """Hang up; never raises."""


class Instance(Protocol):
    """A launched machine as its source knows it."""

    @property
    def id(self) -> str:
        """Never used twice, not even by a machine that replaces this one."""

    @property
    def public_key(self) -> str:
        """The key that lets us in, as in authorized_keys: the seal takes it out; empty: none."""

    @property
    def settled(self) -> bool:
        """Whether its first boot, cloud-init included, is known to be over."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What only launching could tell (the base's digest, say), for the manifest."""


class Checkpoints(Protocol):
    """Machines of one kind that were saved while they ran: each after its last call."""

    def calls(self) -> Iterable[Sequence[Mapping[str, Any]]]:
        """The calls that each has had; at least one."""

    def resume(self, key: str) -> Instance:
        """Start a machine where another was saved.

        Args:
            key: as it was saved.

        Raises:
            SourceError: it does not run, and has been thrown away.
        """

    def save(
        self,
        instance: Instance,
        connection: Connection,
        key: str,
        calls: Sequence[Mapping[str, Any]],
    ) -> None:
        """Save a machine that runs, and then runs on; in the place of one that is too old.

        Raises:
            SourceError: it cannot be saved, but runs on.
        """


class Source(Options, abc.ABC):
    """Where a machine comes from and where its image goes.

    A source is a frozen dataclass with at least the fields ``name`` (empty: the type), ``params``
    (values of the author's own, for the build function and for names) and ``ssh_username``.
    What has another type than its annotation says is refused when the source is made. A variable
    (`harness.var`) may stand for any option but ``name`` until the build is selected; no method of
    the source is called before, so other checks belong into `validate`.
    Methods raise `SourceError`, or `CancelledError` when the run is stopped.
    """

    type: ClassVar[str]
    takes_variables: ClassVar[bool] = True
    named_by: ClassVar[str] = ""
    """The option that is the template of an image's name (`harness.naming`); empty: none."""
    name: str
    params: Mapping[str, Any]
    ssh_username: str

    @abc.abstractmethod
    def validate(self, context: Context) -> None:
        """Refuse wrong options with `ConfigurationError`, before anything is created."""

    @abc.abstractmethod
    def launch(self, context: Context) -> Instance:
        """Start a machine; every resource goes into the journal before it is made."""

    def call(self, given: Given) -> None:
        """Take the name that variables make; default: it has its own.

        Raises:
            ConfigurationError: a value is missing or wrong.
        """
        del given

    def settled(self, namespace: Namespace) -> Source:
        """The source that takes part in a run, once variables have values; default: itself."""
        del namespace
        return self

    def lacking(self) -> str:
        """What its build needs and this installation has not; default: nothing.

        The build fails once its machine is wanted, and others go on.
        """
        return ""

    def facts(self, context: Context) -> Mapping[str, Any]:
        """What decides what an image is and is no option, such as the base's checksum."""
        del context
        return {}

    def find_image(self, made_of: str, noted: Image | None, context: Context) -> Image | None:
        """An image that was made of these inputs, if it still is what it was.

        Args:
            made_of: their hash, see `Context.input_hash`.
            noted: what this computer knows of it, and that is young enough; None: nothing.
            context: the build's; one that is older than its ``image_age`` does not count.
        """
        del made_of, noted, context
        return None

    def checkpoints(self, context: Context) -> Checkpoints | None:
        """Where machines like this one are saved while they are provisioned; default: nowhere."""
        del context
        return None

    @abc.abstractmethod
    def connect(self, instance: Instance, context: Context) -> Connection:
        """Wait until the machine lets us in."""

    def local_demand(self) -> LocalDemand:
        """What its machine needs of this computer, while it is there; default: nothing."""
        return LocalDemand()

    def console(self, instance: Instance, context: Context) -> bytes:
        """What the machine has printed on its serial console, as far as that is known; all of it
        or its end.
        """
        del instance, context
        return b""

    def revive(self, instance: Instance, context: Context) -> None:
        """Start a machine again that went down to reboot, if it does not start by itself.

        Called again and again while a rebooting machine is waited for. Address, keys and host key
        must stay what they were.

        Raises:
            SourceError: it will never come back.
        """

    @abc.abstractmethod
    def stop(self, instance: Instance, connection: Connection, context: Context) -> None:
        """Shut the machine down cleanly."""

    @abc.abstractmethod
    def capture(self, instance: Instance, context: Context) -> Image:
        """Make an image of the stopped machine that nobody can mistake for a finished one."""

    @abc.abstractmethod
    def publish(self, image: Image, context: Context) -> Image:
        """Give a captured image its name."""

    def keep(self, instance: Instance, context: Context) -> dict[str, Any]:
        """Let a machine run on when this process ends; what `attach` needs, as JSON knows it.

        Raises:
            SourceError: this source's machines cannot be kept.
        """
        del instance, context
        raise SourceError(f"machines of the source type {self.type} cannot be kept")

    def reopen(self, instance: Instance, connection: Connection, context: Context) -> None:
        """Give a machine back what the seal took and a login needs: it is to be kept.

        Args:
            instance: the machine.
            connection: the login that is still there.
            context: the build's.

        Raises:
            SourceError: this source's machines let nobody in again.
        """
        del instance, connection, context
        raise SourceError(f"a sealed machine of the source type {self.type} lets nobody in")

    def attach(self, record: Mapping[str, Any], context: Context) -> Instance:
        """Take over a machine that `keep` let run on; its resources are in the journal again.

        Raises:
            SourceError: it does not run any more.
        """
        del record, context
        raise SourceError(f"machines of the source type {self.type} cannot be taken over")

    @classmethod
    @abc.abstractmethod
    def remove(cls, resource: Resource) -> bool:
        """Remove a resource that the journal names, and say whether it was there."""

    @classmethod
    def discard(cls, resource: Resource) -> bool:
        """Remove what the journal names: the source's, or a folder that any machine may need."""
        if resource.kind != LOCAL_FOLDER:
            return cls.remove(resource)
        existed = Path(resource.id).exists()
        shutil.rmtree(resource.id, ignore_errors=not existed)
        return existed

    def destroy(self, instance: Instance | None, context: Context) -> None:
        """Remove what is left of a build, newest first."""
        del instance
        for resource in context.journal.outstanding(context.build):
            self.discard(resource)
            context.journal.gone(resource)

    def options(self) -> dict[str, Any]:
        """The options as JSON knows them; what is kept out of the repr is masked here too."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]  # as the docstring says
        for option in dataclasses.fields(self):  # type: ignore[arg-type]  # as above
            if not option.repr and values[option.name]:
                values[option.name] = MASK
        return {k: str(v) if isinstance(v, Path) else hidden(v) for k, v in values.items()}

    def secrets(self) -> Iterator[tuple[str, str | Secret]]:
        """What in the options is secret, by option: each `Secret`, and passwords as they are.

        A password is a text of one line that is kept out of the repr.
        """
        for option in dataclasses.fields(self):  # type: ignore[arg-type]  # as above
            value = getattr(self, option.name)
            yield from secrets_in(option.name, value)
            if not option.repr and isinstance(value, str) and value and "\n" not in value:
                yield option.name, value
