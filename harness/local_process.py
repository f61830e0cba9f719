"""A program on this computer: its output as it comes, and nothing left of one that is stopped."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import selectors
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import environment
from harness.errors import CancelledError, CommandTimeoutError
from harness.model import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

CHUNK = 64 * 1024
POLL_SECONDS = 0.2
"""Between two looks at the ways out; also how long a program that has ended may be silent before
it is done, though a daemon that it left keeps its output open."""
LINGER_SECONDS = 5.0
"""After which it is done even if that daemon goes on printing."""
END_SECONDS = 10.0
"""What a program has for its own cleaning after each polite signal: mmdebstrap, say, unmounts."""
DEADLINE_END_SECONDS = 1.0
"""The same at its deadline: whoever set one does not want to wait on."""
_MARK = "HARNESS_PROCESS"


def run(
    argv: Sequence[str],
    *,
    cancelled: Callable[[], bool],
    on_output: Callable[[str, bytes], None],
    name: str = "",
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    timeout: float | None = None,
    pass_fds: Collection[int] = (),
    mark: str = "",
) -> CommandResult:
    """Run a program to its end, in a session of its own; standard input is empty.

    Args:
        argv: the program and its arguments.
        cancelled: asked five times a second; true ends it.
        on_output: called with ``"stdout"`` or ``"stderr"`` and bytes, as they come.
        name: what messages call it; default: ``argv``.
        cwd: where it starts; default: here.
        environ: added to this process's environment.
        timeout: seconds until it is ended with all that it started, at most 2 s later; None: never.
        pass_fds: open files that it inherits.
        mark: what `kill_marked` finds it by; none by default.

    Raises:
        CommandTimeoutError: the timeout has passed.
        CancelledError: ``cancelled()`` became true.
    """
    name = name or shlex.join(argv)
    mark = mark or secrets.token_hex(16)
    streams = {"stdout": bytearray(), "stderr": bytearray()}
    deadline = None if timeout is None else time.monotonic() + timeout

    def result(status: int) -> CommandResult:
        return CommandResult(name, status, *(bytes(data) for data in streams.values()))

    def check() -> None:
        if cancelled():
            raise CancelledError(f"the run is being stopped: ended {name}")
        if timeout is not None and deadline is not None and time.monotonic() > deadline:
            raise CommandTimeoutError(name, timeout, result(-1))

    everything = {**environment.snapshot(), **(environ or {}), _MARK: mark}
    with _child(argv, cwd, everything, pass_fds) as child:
        for stream, data in _output(child, check):
            streams[stream] += data
            on_output(stream, data)
    # A signal as a shell reports it.
    return result(child.returncode if child.returncode >= 0 else 128 - child.returncode)


def kill_marked(mark: str) -> bool:
    """Kill every process of a mark, and say whether there was one. Linux only: it needs /proc."""
    found = list(_marked(mark))
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


@contextlib.contextmanager
def _child(
    argv: Sequence[str], cwd: Path | None, environ: Mapping[str, str], pass_fds: Collection[int]
) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        argv,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    with child:  # closes the pipes and waits
        try:
            yield child
        except CommandTimeoutError:
            _end(child, environ[_MARK], DEADLINE_END_SECONDS)
            raise
        except BaseException:
            _end(child, environ[_MARK], END_SECONDS)
            raise


def _output(
    child: subprocess.Popen[bytes], check: Callable[[], None]
) -> Iterator[tuple[str, bytes]]:
    """What comes on either stream, until the child has ended and both are dry."""
    ended_at = math.inf
    with _selector(child) as selector:
        while selector.get_map():
            check()
            if child.poll() is not None:
                ended_at = min(ended_at, time.monotonic())
            ready = selector.select(POLL_SECONDS)
            for key, _ in ready:
                if data := os.read(key.fd, CHUNK):
                    yield key.data, data
                else:
                    selector.unregister(key.fileobj)
            if not ready and child.poll() is not None:
                return
            if time.monotonic() > ended_at + LINGER_SECONDS:
                return
        while child.poll() is None:  # it has closed its streams and goes on
            check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(POLL_SECONDS)


def _selector(child: subprocess.Popen[bytes]) -> selectors.BaseSelector:
    selector = selectors.DefaultSelector()
    for stream in ("stdout", "stderr"):
        selector.register(getattr(child, stream), selectors.EVENT_READ, stream)
    return selector


def _end(child: subprocess.Popen[bytes], mark: str, patience: float) -> None:
    """Ask the whole session to end, and kill what has not ended in time.

    First as a terminal's Ctrl-C asks: fakeroot's daemon is in a session of its own, and only on
    that signal does fakeroot end it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        deadline = time.monotonic() + patience
        _signal(child, number)
        # The pipes must not fill up meanwhile, or the child could not finish its last words.
        with contextlib.suppress(TimeoutError):
            for _ in _output(child, _until(deadline)):
                pass
    _signal(child, signal.SIGKILL)
    kill_marked(mark)  # what has left the session


def _until(deadline: float) -> Callable[[], None]:
    def check() -> None:
        if time.monotonic() > deadline:
            raise TimeoutError

    return check


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _marked(mark: str) -> Iterator[int]:
    marked = f"{_MARK}={mark}\0".encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # ended, or somebody else's
            if marked in environ.read_bytes():
                yield int(environ.parent.name)
