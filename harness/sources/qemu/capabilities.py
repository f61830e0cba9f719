"""What the QEMU of this computer knows, as it tells itself."""

from __future__ import annotations

import re
import subprocess

from harness import environment

PROGRAM = "qemu-system-x86_64"
WINDOWS = ("gtk", "sdl", "cocoa")
"""The kinds of windows that QEMU can open, the best first."""


def machine_types() -> dict[str, str]:
    """Each machine type, and what it is an alias of (itself, where it is none)."""
    found = {}
    for line in _help("-machine").splitlines()[1:]:
        if line.strip():
            alias = re.search(r"\(alias of (\S+)\)", line)
            name = line.split()[0]
            found[name] = alias[1] if alias else name
    return found


def cpu_models() -> list[str]:
    """Each CPU model."""
    models = _help("-cpu").partition("\n\n")[0].splitlines()[1:]
    return [line.removeprefix("x86 ").split()[0] for line in models if line.strip()]


def network_devices() -> list[str]:
    """Each network card for the PCI bus."""
    cards = _help("-device").partition("Network devices:\n")[2].partition("\n\n")[0]
    name = re.compile(r'name "([^"]+)", bus PCI(?:, alias "([^"]+)")?')
    found = (name.match(line) for line in cards.splitlines())
    return [word for match in found if match for word in match.groups() if word]


def window() -> str | None:
    """The kind of window that this QEMU can open; None: it has none."""
    known = _help("-display").split()
    return next((name for name in WINDOWS if name in known), None)


def _help(option: str) -> str:
    answer = subprocess.run(
        [PROGRAM, option, "help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment.snapshot(),
    )
    return answer.stdout
