"""From which saved machine a build goes on, and when its machine is saved.

The build function first runs against the record alone, up to the first call that is new. Then a
machine is resumed from the deepest checkpoint on that way, and the function begins again from its
first line: what that machine has had is answered from the record, all else runs. So no call is
answered from the record and then run differently.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import kept, said
from harness.chain import Call, Chain, OutOfStepError, by_key
from harness.errors import SourceError
from harness.events import MachineLaunched, Notice
from harness.machine import Machine
from harness.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.kept import Kept
    from harness.sources.base import Checkpoints, Connection, Context, Instance, Source

    Function = Callable[[Machine], None]

LONG = 3.0
"""Seconds of calls behind which a machine is saved; saving takes a second or two."""


@dataclass(frozen=True)
class Start:
    """Where a build begins.

    Args:
        calls: that its machine has had; the last of them names the checkpoint.
        known: all calls on the record, for reasons; None: there is no record.
        rehearsal: the attempt that found it.
    """

    calls: Sequence[Call] = ()
    known: Mapping[str, Call] | None = None
    rehearsal: Chain | None = None

    def chain(self, mask: Callable[[bytes], bytes]) -> Chain:
        """For its machine; ``mask``: see `Chain`."""
        return Chain(
            by_key(self.calls),
            reasons=self.known,
            had=len(self.calls),
            before=self.rehearsal,
            mask=mask,
        )


class Record:
    """What is on record of the calls of one build, in one run.

    Args:
        source: the build's.
        context: the build's.
        attached: the machine to take, in place of a new one; its record counts then.
    """

    def __init__(self, source: Source, context: Context, attached: Kept | None) -> None:
        self._source = source
        self._context = context
        self._attached = attached
        self._saved: Checkpoints | None = None
        self._start: Start | None = None
        self.calls: Sequence[Call] | None = None
        """Of the machine that was provisioned; None: they do not tell all that was done."""
        self.replayed_all = False

    def give_up(self, why: str) -> None:
        """Begin with a machine that has had no call."""
        self._tell(f"once more, without a checkpoint: {' '.join(why.split())}")
        found = self._start or Start()
        self._start = Start(known=found.known, rehearsal=found.rehearsal)

    def launch(self, function: Function) -> Instance:
        """The machine to begin with.

        Args:
            function: provisions the machine that it is given.

        Raises:
            OutOfStepError: it cannot be resumed.
        """
        if self._attached is not None:
            kept.take(self._attached, self._context.journal)
            return self._source.attach(self._attached.record, self._context)
        if self._start is None:
            self._start = self._found(function)
        if self._saved is None or not self._start.calls:
            return self._source.launch(self._context)
        try:
            return self._saved.resume(self._start.calls[-1].after)
        except SourceError as error:
            raise OutOfStepError(str(error)) from error

    def chain(self) -> Chain:
        """For the machine that was launched."""
        mask = self._context.events.masker.data
        if self._start is not None:
            return self._start.chain(mask)
        assert self._attached is not None
        known = by_key(Call(**call) for call in self._attached.calls)
        return Chain(known, reasons=known, mask=mask)

    @contextlib.contextmanager
    def recorded(self, chain: Chain, instance: Instance, connection: Connection) -> Iterator[None]:
        """While a machine is provisioned: save it behind long calls and behind the last."""
        if self._saved is not None:
            saver = Saver(self._saved, self._context, chain, instance, connection)
            chain.ran = saver.ran
        yield
        if self._saved is not None:
            saver.finish()
        self.replayed_all = not chain.closed and chain.replayed == len(chain.calls)
        if not chain.closed and self._attached is None:  # which may have had others as well
            self.calls = tuple(chain.calls)
        chain.close("provisioning is over")
        self._tell_what_was_replayed(chain, instance)

    def _found(self, function: Function) -> Start:
        if self._context.checkpoint_age:
            self._saved = self._source.checkpoints(self._context)
        if self._saved is None:
            return Start()
        return find(self._saved, self._source, self._context, function)

    def _tell_what_was_replayed(self, chain: Chain, instance: Instance) -> None:
        if chain.replayed:
            inputs = {"calls_replayed": chain.replayed}
            self._context.events.emit(MachineLaunched(self._context.build, instance.id, inputs))
        if self._attached is not None:
            dropped = len(self._attached.calls) - chain.replayed
            text = f"not repeated: {counted(chain.replayed, 'provisioning call')}, as before"
            if dropped:
                others = counted(dropped, "call")
                text += f"; what {others} did that changed or went is still there"
            self._tell(text)

    def _tell(self, text: str) -> None:
        self._context.events.emit(Notice(self._context.build, text))


def _read(saved: Checkpoints) -> Iterator[Sequence[Call]]:
    """What is on record, without what somebody has damaged."""
    for calls in saved.calls():
        with contextlib.suppress(TypeError):
            if known := [Call(**call) for call in calls]:
                yield known


def find(saved: Checkpoints, source: Source, context: Context, function: Function) -> Start:
    """The deepest checkpoint on the way that a build function goes."""
    oldest = time.time() - context.checkpoint_age
    ways = list(_read(saved))
    young = [calls for calls in ways if calls[0].at >= oldest]
    reasons = by_key(call for calls in ways for call in calls)
    known = by_key(call for calls in young for call in calls)
    if not known:
        return Start(known=reasons)
    chain = Chain(known, had=math.inf)
    # Whatever else goes wrong will go wrong on the machine too. And it says all once more.
    with contextlib.suppress(OutOfStepError, Exception), said.to(lambda _: None):
        function(Machine(source, context, chain))
    context.cancel.check()
    ends = {calls[-1].after for calls in young}
    depth = max((n for n, call in enumerate(chain.calls, 1) if call.after in ends), default=0)
    return Start(chain.calls[:depth], reasons, chain)


class Saver:
    """Saves one machine while it is provisioned."""

    def __init__(
        self,
        saved: Checkpoints,
        context: Context,
        chain: Chain,
        instance: Instance,
        connection: Connection,
    ) -> None:
        self._saved = saved
        self._context = context
        self._chain = chain
        self._machine = (instance, connection)
        self._unsaved = 0.0

    def ran(self, _call: Call, seconds: float) -> None:
        self._unsaved += seconds
        if self._unsaved >= LONG:
            self._save()

    def finish(self) -> None:
        """The last call has been made."""
        if self._unsaved and not self._chain.closed:
            self._save()

    def _save(self) -> None:
        self._unsaved = 0.0
        calls = [call.as_dict() for call in self._chain.calls]
        try:
            with self._context.stopwatch.stage("save"):
                self._saved.save(*self._machine, self._chain.last, calls)
        except SourceError as error:
            self._chain.close("no checkpoint could be made before")
            self._context.events.emit(Notice(self._context.build, f"no checkpoint: {error}"))
