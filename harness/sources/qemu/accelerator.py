"""Which accelerator to use, on proof: a /dev/kvm that opens may still not run a guest."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from typing import TYPE_CHECKING

from harness import cache
from harness.events import Notice
from harness.sources.qemu.vm import PROGRAM

if TYPE_CHECKING:
    from harness.sources.base import Context
    from harness.sources.qemu.vm import VirtualMachine

CHOICES = ("auto", "kvm", "hvf", "tcg")
PROOF = b"Linux version"
"""The first line of a Linux kernel on its console."""
PROOF_SECONDS = 10.0
"""A guest that is really accelerated prints it after one or two."""


def known(wanted: str) -> str | None:
    """The accelerator that `start` will use; None: that takes a proof first."""
    if wanted != "auto":
        return wanted
    candidate = _candidate()
    if not candidate:
        return "tcg"
    return {True: candidate, False: "tcg"}.get(cache.recall(host(candidate)))


def start(vm: VirtualMachine, wanted: str, context: Context, *, prints: bool) -> None:
    """Start the machine with the accelerator that is wanted, or for ``auto`` the best that works.

    ``prints`` says that the guest is known to print on its serial console: only then does silence
    prove anything, and only then is it remembered.
    """
    if wanted != "auto":
        vm.start(wanted)
        return
    candidate = _candidate()
    verdict = cache.recall(host(candidate)) if candidate else False
    if not candidate or verdict is False:
        vm.start("tcg")
        return
    vm.start(candidate)
    if verdict or _proven(vm, context):
        if not verdict:
            cache.remember(host(candidate), True)
        return
    if prints:
        cache.remember(host(candidate), False)
    why = vm.ended() or f"its kernel printed nothing within {PROOF_SECONDS:g} s"
    again = " (remembered for this host)" if prints else ""
    text = f"{candidate} did not start the guest, using tcg, which is slower{again}: {why}"
    context.events.emit(Notice(context.build, text.replace("\n", " ")))
    vm.console.unlink(missing_ok=True)
    vm.start("tcg")


def _proven(vm: VirtualMachine, context: Context) -> bool:
    deadline = time.monotonic() + PROOF_SECONDS
    while time.monotonic() < deadline and not vm.ended():
        if PROOF in vm.console.read_bytes():
            return True
        context.cancel.sleep(0.1)
    return False


def _candidate() -> str:
    """The accelerator that this host seems to have."""
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "kvm"
    if platform.system() == "Darwin" and platform.machine() == "x86_64":
        return "hvf"
    return ""


def host(accelerator: str) -> str:
    """A name for this host with this accelerator; another kernel, CPU or QEMU makes another."""
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    facts = [platform.release(), platform.machine(), _cpu(), version.stdout]
    return f"{accelerator}-{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:16]}"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - not a file to keep
            return next((line for line in lines if line.startswith("model name")), "")
    except FileNotFoundError:
        return platform.processor()
