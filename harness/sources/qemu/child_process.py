"""Run a long program: its lines as they come, and nothing left of it when the run is cancelled."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.errors import TAIL_LINES, CancelledError, SourceError, ToolMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

POLL_SECONDS = 0.2
# mmdebstrap unmounts and removes what it made when it is asked to end.
END_SECONDS = 10.0


class Runner(Protocol):
    """Runs a program to its end, or raises."""

    def __call__(self, argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> None:
        """Run ``argv`` with ``environ`` added to this process's environment."""


@dataclass(frozen=True)
class ChildRunner:
    """Runs each program in a session of its own and looks at ``cancelled`` while it waits."""

    log: Callable[[str], None]
    cancelled: Callable[[], bool]

    def __call__(self, argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> None:
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        with _session(argv, environ or {}) as child:
            for line in self._lines(child):
                tail.append(line)
                self.log(line)
        if child.returncode:
            raise SourceError(
                f"{shlex.join(argv)}\nfailed with exit status {child.returncode}; "
                f"its last lines:\n" + "\n".join(f"  {line}" for line in tail)
            )

    def _lines(self, child: subprocess.Popen[bytes]) -> Iterator[str]:
        """Every line of output until the child has ended and its pipe is dry."""
        assert child.stdout is not None
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while True:
                self._raise_if_cancelled()
                if not selector.select(POLL_SECONDS):
                    continue
                data = os.read(child.stdout.fileno(), 65536)
                *lines, rest = (rest + data).split(b"\n") if data else (rest, b"")
                yield from (_last_overprint(line) for line in lines if line.strip())
                if not data:
                    return

    def _raise_if_cancelled(self) -> None:
        if self.cancelled():
            raise CancelledError("The run was cancelled while its base disk was being made")


def search_path() -> str:
    """PATH, with the directories where a plain user's PATH often lacks mke2fs and sfdisk."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def require_tools(tools: Mapping[str, str], purpose: str) -> None:
    """Raise unless every program (a key; its Debian package is the value) is installed."""
    missing = {tool: tools[tool] for tool in tools if not shutil.which(tool, path=search_path())}
    if missing:
        named = ", ".join(f"{tool} (package {package})" for tool, package in missing.items())
        packages = " ".join(sorted(set(missing.values())))
        raise ToolMissingError(
            f"{purpose} needs {named}, which this machine does not have. "
            f"Install with: apt-get install {packages}"
        )


@contextlib.contextmanager
def _session(argv: Sequence[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8", **environ},
        start_new_session=True,
    )
    with child:  # closes the pipe and waits
        try:
            yield child
        except BaseException:
            _end(child)
            raise


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the whole session to end, and kill what has not ended in time.

    First as a terminal's Ctrl-C asks: fakeroot's daemon is in a session of its own, and only on
    that signal does fakeroot end it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        deadline = time.monotonic() + END_SECONDS
        _signal(child, number)
        # The pipe must not fill up meanwhile, or the child could not finish its last words.
        while child.poll() is None and time.monotonic() < deadline:
            _drain(child)
    _signal(child, signal.SIGKILL)


def _drain(child: subprocess.Popen[bytes]) -> None:
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        if selector.select(POLL_SECONDS) and not os.read(child.stdout.fileno(), 65536):
            time.sleep(POLL_SECONDS)


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _last_overprint(line: bytes) -> str:
    """The line as a terminal would end up showing it: progress bars print over themselves."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace").rstrip()
