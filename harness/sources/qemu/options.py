"""Wrong options of a `Qemu`, refused before anything is created."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError, ToolMissingError
from harness.secret import Secret, reveal
from harness.size import parse_size
from harness.sources.qemu import accelerator, bases, capabilities, command, disk, firmware, media
from harness.sources.qemu.child_process import require_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.sources.base import Context
    from harness.sources.qemu import Qemu

TOOLS = {capabilities.PROGRAM: "qemu-system-x86", "qemu-img": "qemu-utils"}
CACHES = ("unsafe", "writeback", "writethrough", "none", "directsync")
DISCARDS = ("unmap", "ignore")
_SMALLEST = 64 << 20
_REFUSED = {
    "-snapshot": "the image would not hold what was built and tested",
    "-daemonize": "nobody could tell when the machine has ended",
}
_NEEDED = {"-drive": "{disk}", "-netdev": "{ssh_port}"}
"""What a flag's values must name when they take the place of the defaults."""


def check(source: Qemu, context: Context) -> None:
    """Refuse wrong options.

    Raises:
        ConfigurationError: an option's value is wrong, or does not go with another's.
        ToolMissingError: a program that the options need is not installed.
    """
    require_tools({**TOOLS, **bases.tools(source.base)}, "The source qemu")
    _machine(source)
    _disks(source)
    _access(source, context)
    bases.check(source.base, source.base_checksum, context)


def check_route(source: Qemu) -> None:
    """Refuse a bastion or a proxy where nothing lies between.

    Raises:
        ConfigurationError: as it says.
    """
    for option in ("ssh_bastion_host", "ssh_proxy_host"):
        if getattr(source, option) and not source.ssh_host:
            raise ConfigurationError(
                f"{option}={getattr(source, option)!r}: a local machine is reached at a port of "
                "this computer, and nothing lies between. Leave it out; or say with ssh_host "
                "which address the machine has on a network of yours"
            )


def user_data(source: Qemu, context: Context) -> str:
    """What the author wants to tell cloud-init; empty: nothing.

    Raises:
        ConfigurationError: it stands in two places, or its file cannot be read.
    """
    if not source.user_data_file:
        return reveal(source.user_data)
    if source.user_data:
        raise ConfigurationError("user_data and user_data_file are both given: leave one out")
    try:
        return (context.directory / source.user_data_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"user_data_file={str(source.user_data_file)!r} is no text file that can be read: "
            f"{error} (relative paths start at {context.directory})"
        ) from error


def _machine(source: Qemu) -> None:
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    if source.memory > available:
        raise ConfigurationError(f"memory={source.memory}: this computer has {available} MiB")
    _one_of("accelerator", source.accelerator, accelerator.CHOICES)
    accelerator.check(source.accelerator)
    _known("machine_type", source.machine_type, "q35", capabilities.machine_types)
    _known("cpu_model", source.cpu_model, "", capabilities.cpu_models)
    _known("net_device", source.net_device, "virtio-net-pci", capabilities.network_devices)
    _qemuargs(source)
    if source.efi_boot:
        firmware.find(source.machine_type)
    if not source.headless:
        _window()


def _disks(source: Qemu) -> None:
    _one_of("format", source.format, disk.FORMATS)
    _one_of("disk_interface", source.disk_interface, command.DISK_INTERFACES)
    _one_of("disk_cache", source.disk_cache, CACHES)
    _one_of("disk_discard", source.disk_discard, DISCARDS)
    if source.disk_size is not None and parse_size("disk_size", source.disk_size) < _SMALLEST:
        raise ConfigurationError(
            f"disk_size={source.disk_size!r}: no base fits into that; at least 64 MiB, "
            'as in "10G" or "4096M"'
        )
    for size in source.disk_additional_size:
        parse_size("disk_additional_size", size)
    if source.disk_compression and source.format != "qcow2":
        raise ConfigurationError(
            f"disk_compression=True does not go with format={source.format!r}: "
            'only format="qcow2" can be compressed'
        )


def _access(source: Qemu, context: Context) -> None:
    source.validate_ssh(context)
    check_route(source)
    user_data(source, context)
    media.collect(source.cd_files, source.cd_content, context.directory)
    if source.cd_label.lower() == media.SEED_LABEL:
        raise ConfigurationError(
            f"cd_label={source.cd_label!r} would hide what lets us in from cloud-init: "
            "give user_data or user_data_file instead"
        )
    if not 0 < len(source.cd_label) <= media.LABEL_LENGTH:
        raise ConfigurationError(
            f"cd_label={source.cd_label!r}: a label has 1 to {media.LABEL_LENGTH} characters"
        )


def _qemuargs(source: Qemu) -> None:
    for argument in source.qemuargs:
        words = [] if isinstance(argument, str) else list(argument)
        if len(words) not in (1, 2) or not all(isinstance(word, str | Secret) for word in words):
            raise ConfigurationError(
                f'qemuargs has {argument!r}: write ["-flag", "value"], or ["-flag"] alone'
            )
        flag = words[0]
        if isinstance(flag, Secret) or not flag.startswith("-") or flag.startswith("--"):
            raise ConfigurationError(f"qemuargs has {flag!r}: a flag begins with one dash")
        if flag in _REFUSED:
            raise ConfigurationError(f"qemuargs has {flag}: {_REFUSED[flag]}")
    for flag, field in _NEEDED.items():
        given = [rest for name, *rest in source.qemuargs if name == flag]
        values = [reveal(value) for rest in given for value in rest]
        if field == "{ssh_port}" and source.ssh_host:
            continue  # nothing is forwarded
        if values and not any(field in value for value in values):
            raise ConfigurationError(
                f"qemuargs has {flag} without {field}: what you give takes the place of every "
                f"{flag} of ours, so one of yours must name {field}"
            )


def _window() -> None:
    if capabilities.window() is None:
        raise ToolMissingError(
            "headless=False needs a QEMU that can open a window. "
            "Install with: apt-get install qemu-system-gui"
        )
    if os.uname().sysname != "Darwin" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        raise ConfigurationError(
            "headless=False needs a graphical session: neither DISPLAY nor WAYLAND_DISPLAY is set; "
            "leave it out here"
        )


def _known(
    option: str, value: str, default: str, list_known: Callable[[], Collection[str]]
) -> None:
    """Ask QEMU only where somebody has chosen."""
    if value == default:
        return
    known = list_known()
    name = str(value).partition(",")[0]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=5) or sorted(known)
        raise ConfigurationError(f"{option}={value!r}: QEMU has {', '.join(close)} and others")


def _one_of(option: str, value: object, choices: Collection[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{option}={value!r}: choose one of {', '.join(choices)}")
