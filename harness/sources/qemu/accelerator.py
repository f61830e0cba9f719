"""Which accelerator to use, on proof: a /dev/kvm that opens may still not run a guest."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from typing import TYPE_CHECKING

from harness import cache, environment
from harness.errors import ConfigurationError
from harness.events import Notice
from harness.sources.qemu.capabilities import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.sources.base import Context
    from harness.sources.qemu.vm import VirtualMachine

CHOICES = ("auto", "kvm", "hvf", "tcg")
_KVM = "/dev/kvm"
PROOF = b"Linux version"
"""The first line of a Linux kernel on its console."""
PROOF_SECONDS = 10.0
"""A guest that is really accelerated prints it after one or two."""
PATIENCE_SECONDS = 30.0
"""For a guest that is not known: it may have a boot menu, or print nowhere."""


def check(wanted: str) -> None:
    """Refuse an accelerator that this computer does not have.

    Raises:
        ConfigurationError: as it says.
    """
    if wanted == "kvm" and not os.access(_KVM, os.R_OK | os.W_OK):
        why = "may not be opened by this user" if os.path.exists(_KVM) else "is not there"  # noqa: PTH110 - a device
        raise ConfigurationError(
            f'accelerator="kvm": {_KVM} {why}; join its group (adduser USER kvm), switch '
            'virtualisation on in the firmware, or write accelerator="auto"'
        )


def known(wanted: str) -> str | None:
    """The accelerator that `start` will use; None: that takes a proof first."""
    if wanted != "auto":
        return wanted
    candidate = _candidate()
    if not candidate:
        return "tcg"
    return {True: candidate, False: "tcg"}.get(cache.recall(host(candidate)))


def start(
    vm: VirtualMachine,
    wanted: str,
    context: Context,
    *,
    begin: Callable[[str], None],
    prints: bool,
) -> None:
    """Start the machine with the accelerator that is wanted, or for ``auto`` the best that works.

    Args:
        vm: the machine.
        wanted: one of `CHOICES`.
        context: of its build.
        begin: starts the machine from its base, with the accelerator that it is given.
        prints: whether the guest is known to print on its serial console. Only then does silence
            prove anything, and only then is it remembered.
    """
    candidate = _candidate() if wanted == "auto" else ""
    verdict = cache.recall(host(candidate)) if candidate else False
    if verdict is False:
        begin("tcg" if wanted == "auto" else wanted)
        return
    begin(candidate)
    seconds = PROOF_SECONDS if prints else PATIENCE_SECONDS
    if verdict or _proven(vm, context, seconds):
        if not verdict:
            cache.remember(host(candidate), True)
        return
    if prints:
        cache.remember(host(candidate), False)
    why = vm.ended() or f"its kernel printed nothing within {seconds:g} s"
    again = " (remembered for this host)" if prints else ""
    text = f"{candidate} did not start the guest, using tcg, which is slower{again}: {why}"
    context.events.emit(Notice(context.build, text.replace("\n", " ")))
    begin("tcg")


def _proven(vm: VirtualMachine, context: Context, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not vm.ended():
        if PROOF in vm.console.read_bytes():
            return True
        context.cancel.sleep(0.1)
    return False


def _candidate() -> str:
    """The accelerator that this host seems to have."""
    if platform.machine() != "x86_64":
        return ""
    if os.access(_KVM, os.R_OK | os.W_OK):
        return "kvm"
    return "hvf" if platform.system() == "Darwin" else ""


def host(accelerator: str) -> str:
    """A name for this host with this accelerator; another kernel, CPU or QEMU makes another."""
    version = subprocess.run(
        [PROGRAM, "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=environment.snapshot(),
    )
    facts = [platform.release(), platform.machine(), _cpu(), version.stdout]
    return f"{accelerator}-{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:16]}"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - not a file to keep
            return next((line for line in lines if line.startswith("model name")), "")
    except FileNotFoundError:
        return platform.processor()
