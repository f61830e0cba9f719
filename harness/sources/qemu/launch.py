"""From options to a machine that runs."""

from __future__ import annotations

import functools
import hashlib
import secrets
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cache
from harness.errors import ConfigurationError, ConnectError
from harness.model import Resource
from harness.secret import reveal
from harness.size import parse_size
from harness.sources.qemu import (
    accelerator,
    access,
    bases,
    command,
    firmware,
    media,
    options,
    warm,
)
from harness.sources.qemu.blueprint import Blueprint
from harness.sources.qemu.capabilities import window
from harness.sources.qemu.checkpoints import Checkpoints
from harness.sources.qemu.child_process import ChildRunner
from harness.sources.qemu.command import Shape
from harness.sources.qemu.saved import Wakening
from harness.sources.qemu.vm import VirtualMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness import ssh
    from harness.sources.base import Context
    from harness.sources.qemu import Qemu
    from harness.sources.qemu.bases import Base

BOOTING_SECONDS = 30.0
"""Of silence, which a machine may need between two lines while it boots."""


def launch(source: Qemu, context: Context) -> VirtualMachine:
    """Start a machine: from its base, or from where one like it was saved."""
    blueprint = _blueprint(source, context)
    wakening = _wakening(source, blueprint, context)

    def start(vm: VirtualMachine) -> None:
        if wakening is not None:
            vm.connection = warm.Warmer(wakening).start(vm)
        if vm.connection is None:
            _boot(source, vm, blueprint, context)

    return _launch(source, blueprint, context, start)


def checkpoints(source: Qemu, context: Context) -> Checkpoints | None:
    """Where machines like this one are saved, if they can be."""
    blueprint = _blueprint(source, context)
    wakening = _wakening(source, blueprint, context)
    if wakening is None:
        return None
    return Checkpoints(wakening, functools.partial(_launch, source, blueprint, context))


def _launch(
    source: Qemu, blueprint: Blueprint, context: Context, start: Callable[[VirtualMachine], None]
) -> VirtualMachine:
    directory = _directory(source, context)
    keys = access.Keys.generate(source.temporary_key())
    vm = blueprint.machine(f"{context.build}-{secrets.token_hex(4)}", directory, keys)
    vm.public_key = keys.public if source.ssh_clear_authorized_keys else ""
    vm.pins = context.pins
    try:
        start(vm)
    except BaseException:
        vm.kill()
        raise
    vm.inputs = {
        **blueprint.base.inputs,
        "accelerator": vm.accelerator,
        "boot": "warm" if vm.connection else "cold",
    }
    return vm


def facts(source: Qemu, context: Context) -> Mapping[str, Any]:
    """What a machine is made of beside the options; the base is made or fetched if need be."""
    blueprint = _blueprint(source, context)
    texts = [blueprint.user_data, *(reveal(each) for pair in source.qemuargs for each in pair)]
    hidden = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return {**blueprint.base.inputs, "cd": blueprint.cd.digest, "texts": hidden}


def keep(vm: VirtualMachine) -> dict[str, Any]:
    """Let a machine run on without us; what `attach` needs."""
    record = {
        "id": vm.id,
        "directory": str(vm.directory),
        "keys": asdict(vm.keys),
        "public_key": vm.public_key,
        "accelerator": vm.accelerator,
        "port": vm.port,
        "arguments": list(vm.arguments),
        "inputs": dict(vm.inputs),
        "uses": list(map(str, vm.pins.paths)),
    }
    vm.let_go()
    return record


def attach(source: Qemu, record: Mapping[str, Any], context: Context) -> VirtualMachine:
    """Take over a machine that `keep` has let run on.

    Raises:
        SourceError: it does not run any more.
    """
    values = {
        **{name: value for name, value in record.items() if name != "uses"},
        "directory": Path(record["directory"]),
        "keys": access.Keys(**record["keys"]),
        "inputs": {**record["inputs"], "boot": "attached"},
        "shape": _blueprint(source, context).shape,
        "pins": context.pins,
    }
    for path in record["uses"]:
        context.pins.keep(Path(path))
    vm = VirtualMachine(**values)
    vm.adopt()
    return vm


def log_in(source: Qemu, context: Context, vm: VirtualMachine, keys: access.Keys) -> ssh.Connection:
    """Wait until the machine lets us in."""
    endpoint = source.endpoint(context, "127.0.0.1", vm.port, keys.private, keys.host_public)
    deadline = time.monotonic() + source.ssh_timeout
    try:
        return source.connect_ssh(
            endpoint, context, alive=vm.hopeless, ready=vm.says_that_ssh_is_up
        )
    except ConnectError as error:
        if time.monotonic() > deadline and not vm.hopeless():
            error.add_note(what_it_did(vm, source.ssh_timeout))
        raise


def what_it_did(vm: VirtualMachine, timeout: float) -> str:
    """What a machine's console tells of one that let nobody in, though it runs."""
    silence = vm.silence()
    if silence is None:
        return "its console printed nothing: it may have no console, or not boot at all"
    if silence > BOOTING_SECONDS:
        return f"its console printed nothing in the last {silence:.0f} s: it hangs, or is up"
    return (
        f"its console printed {silence:.0f} s ago, so it was still booting: a slow machine needs "
        f"a larger ssh_timeout than {timeout:g}"
    )


def runner(context: Context) -> ChildRunner:
    """Runs a program of ours, silently, as long as the run is not stopped."""
    return ChildRunner(log=lambda _: None, cancelled=context.cancel.is_set)


def _blueprint(source: Qemu, context: Context) -> Blueprint:
    """What the build's machines are made of; found out once."""
    found: Blueprint | None = context.notes.get("blueprint")
    if found is None:
        with context.stopwatch.stage("base"):
            base = bases.resolve(source.base, source.base_checksum, context)
        files = media.collect(source.cd_files, source.cd_content, context.directory)
        found = context.notes["blueprint"] = Blueprint(
            base,
            _disk_size(source, base),
            _shape(source, base),
            source.ssh_username,
            options.user_data(source, context),
            media.Disc(source.cd_label, files),
        )
    return found


def _shape(source: Qemu, base: Base) -> Shape:
    qemuargs = tuple(tuple(map(reveal, argument)) for argument in source.qemuargs)
    boots_itself = source.efi_boot or command.boots_otherwise(qemuargs)
    more = (parse_size("disk_additional_size", s) for s in source.disk_additional_size)
    return Shape(
        memory=source.memory,
        cpus=source.cpus,
        machine_type=source.machine_type,
        cpu_model=source.cpu_model,
        additional_disks=tuple(more),
        disk_interface=source.disk_interface,
        disk_cache=source.disk_cache,
        disk_discard=source.disk_discard,
        net_device=source.net_device,
        window=None if source.headless else window(),
        firmware=firmware.find(source.machine_type) if source.efi_boot else None,
        boot=() if boots_itself else base.boot_arguments,
        qemuargs=qemuargs,
        ssh_port=source.ssh_port,
    )


def _disk_size(source: Qemu, base: Base) -> int | None:
    if source.disk_size is None:
        return None
    size = parse_size("disk_size", source.disk_size)
    if size < base.size:
        raise ConfigurationError(
            f"disk_size={source.disk_size!r} is less than the {base.size >> 20}M of {base.name}: "
            "a disk can only grow"
        )
    return size


def _directory(source: Qemu, context: Context) -> Path:
    """Where everything lies that goes with the machine."""
    directory = cache.directory() / "machines" / f"{context.run_id}-{context.build}"
    for kind in ("directory", "process"):
        context.journal.intend(Resource(kind, str(directory), source.type, context.build))
    directory.mkdir(parents=True, mode=0o700)
    return directory


def _boot(source: Qemu, vm: VirtualMachine, blueprint: Blueprint, context: Context) -> None:
    run = runner(context)

    def begin(chosen: str) -> None:
        vm.kill()
        vm.console.unlink(missing_ok=True)
        blueprint.give_disks(vm, run)
        vm.start(chosen)

    prints = blueprint.base.reads_credentials
    accelerator.start(vm, source.accelerator, context, begin=begin, prints=prints)


def _wakening(source: Qemu, blueprint: Blueprint, context: Context) -> Wakening | None:
    """How its machines resume saved ones; None: they must be booted."""
    # A state's key is our own: where somebody else's lets us in, it would not.
    ours = source.needs_key and not source.ssh_host
    wanted = source.warm_boot and not context.cold and blueprint.may_be_saved
    known = accelerator.known(source.accelerator) if ours and wanted else None
    if not known:
        return None
    logging_in = functools.partial(log_in, source, context)
    return Wakening(blueprint, known, logging_in, runner(context), context)
