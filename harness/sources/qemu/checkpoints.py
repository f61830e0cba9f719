"""Checkpoints: machines that were saved while they were provisioned.

A machine stands still while its memory is written and its disk, an overlay, is copied: about a
second. Like any state it holds what is secret on the machine, and is for its owner alone.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import cache, pins
from harness.errors import CommandError, ConnectError, DisconnectedError, SourceError
from harness.sources.qemu import workshop
from harness.sources.qemu.saved import State
from harness.sources.qemu.vm import VirtualMachine
from harness.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.sources.base import Connection, Instance
    from harness.sources.qemu.saved import Wakening

_CALLS = "calls.json"


@dataclass(frozen=True)
class Checkpoints:
    """Those of machines that begin alike.

    Args:
        wakening: how such a machine goes on.
        launch: makes a machine and has this function start it.
    """

    wakening: Wakening
    launch: Callable[[Callable[[VirtualMachine], None]], VirtualMachine]

    def calls(self) -> Iterator[Sequence[Mapping[str, Any]]]:
        for path in directory().glob(f"{self.wakening.digest}-*/{_CALLS}"):
            # Another run has just removed it, or somebody has damaged it.
            with contextlib.suppress(FileNotFoundError, ValueError):
                yield json.loads(path.read_text(encoding="utf-8"))

    def resume(self, key: str) -> Instance:
        state = self._state(key)

        def start(vm: VirtualMachine) -> None:
            vm.connection = self.wakening.resume(vm, state)

        vm = self.launch(start)
        vm.inputs = {**vm.inputs, "boot": "checkpoint"}
        return vm

    def save(
        self,
        instance: Instance,
        connection: Connection,
        key: str,
        calls: Sequence[Mapping[str, Any]],
    ) -> None:
        assert isinstance(instance, VirtualMachine)
        vm = instance
        state = self._state(key)
        if state.directory.exists() and self._is_too_old(state):
            pins.discard(state.directory)

        def write(partial: Path) -> None:
            with workshop.beside(partial, self.wakening.context) as work:
                made = State(work / "made")
                made.directory.mkdir(mode=0o700)
                vm.snapshot(made)
                made.describe(vm)
                (made.directory / _CALLS).write_text(json.dumps(calls), encoding="utf-8")
                made.directory.replace(partial)

        context = self.wakening.context
        name = f"{context.build} after {counted(len(calls), 'call')}, {key[:6]}"
        try:
            context.pins.entry(
                state.directory, context.cancel, write, name=name, needs=context.pins.paths
            )
        except OSError as error:
            raise SourceError(str(error)) from error
        finally:
            context.pins.release(state.directory)  # this machine does not need it
        self._set_clock(connection)

    def _is_too_old(self, state: State) -> bool:
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            calls = json.loads((state.directory / _CALLS).read_text(encoding="utf-8"))
            return bool(calls[0]["at"] < time.time() - self.wakening.context.checkpoint_age)
        return True  # it is damaged

    def _set_clock(self, connection: Connection) -> None:
        """The guest's stood still with it."""
        script = f"date -u -s @{time.time():.3f} >/dev/null"
        try:
            self.wakening.as_root(connection, "setting the machine's clock", script)
        except (CommandError, ConnectError, DisconnectedError, TimeoutError) as error:
            raise SourceError(str(error)) from error

    def _state(self, key: str) -> State:
        return State(directory() / f"{self.wakening.digest}-{key[:16]}")


def directory() -> Path:
    """Where they are kept."""
    return cache.directory() / "checkpoints"
