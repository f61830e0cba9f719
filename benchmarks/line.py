"""A line to another network on this computer that takes its time: what TCP loses there shows.

python -m benchmarks.line SECONDS

is the line, in a process of its own. It prints the namespace of the far end, and our address and
that one's; with it, however it ends, both devices and the namespace go.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import shutil
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.commands import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
MTU = 1500
PROGRAMS = ("ip", "nsenter", "unshare")


@dataclass(frozen=True)
class FarEnd:
    """Where programs are started, and at which address what listens there is reached."""

    wrapper: tuple[str, ...]
    address: str


def missing() -> str:
    """What a line would need that is not here; empty: nothing."""
    needs = [program for program in PROGRAMS if shutil.which(program) is None]
    if os.getuid() != 0:
        needs.append("root")
    if not os.path.exists("/dev/net/tun"):  # noqa: PTH110 - a device
        needs.append("/dev/net/tun")
    return ", ".join(needs)


@contextlib.contextmanager
def of(round_trip: float) -> Iterator[FarEnd]:
    """A line on which packets are under way for half of ``round_trip`` seconds, each way."""
    command = [sys.executable, "-m", "benchmarks.line", str(round_trip / 2)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdin
        try:
            namespace, address = process.stdout.readline().split()
            yield FarEnd(("nsenter", f"--net={namespace}"), address)
        finally:
            process.stdin.close()


def main() -> None:
    delay = float(sys.argv[1])
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()  # it has its namespace
        (ours, near), (theirs, far) = _device(), _device()
        namespace, address = f"/proc/{holder.pid}/ns/net", _configure(near, far, holder.pid)
        for source, sink in ((ours, theirs), (theirs, ours)):
            _start(source, sink, delay)
        print(namespace, address, flush=True)
        sys.stdin.read()


def _device() -> tuple[int, str]:
    """A network device whose packets are read from and written to a file."""
    file = os.open("/dev/net/tun", os.O_RDWR)
    request = struct.pack("16sH14x", b"", IFF_TUN | IFF_NO_PI)
    name = fcntl.ioctl(file, TUNSETIFF, request)[:16].rstrip(b"\0").decode()
    return file, name


def _configure(near: str, far: str, holder: int) -> str:
    """The addresses are of the network that is set aside for benchmarks; one pair for each."""
    high, low = divmod(os.getpid() % 2**15, 2**7)
    ours, theirs = (f"198.18.{high}.{2 * low + n}" for n in (0, 1))
    inside = ["nsenter", "-t", str(holder), "--net"]
    for command in (
        ["ip", "link", "set", far, "netns", str(holder)],
        ["ip", "address", "add", ours, "peer", theirs, "dev", near],
        ["ip", "link", "set", near, "mtu", str(MTU), "up"],
        [*inside, "ip", "link", "set", "lo", "up"],
        [*inside, "ip", "address", "add", theirs, "peer", ours, "dev", far],
        [*inside, "ip", "link", "set", far, "mtu", str(MTU), "up"],
    ):
        subprocess.run(command, check=True)
    return theirs


def _start(source: int, sink: int, delay: float) -> None:
    moving: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def read() -> None:
        while True:
            packet = os.read(source, MTU)
            moving.put((time.monotonic() + delay, packet))

    def write() -> None:
        while True:
            due, packet = moving.get()
            time.sleep(max(0.0, due - time.monotonic()))
            os.write(sink, packet)

    for work in (read, write):
        threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    main()
