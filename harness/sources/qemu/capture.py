"""From a machine's disks to image files: first under a name that nobody takes for an image."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cache, naming
from harness.errors import ConfigurationError
from harness.model import Image, Resource
from harness.naming import NameRule
from harness.sources.qemu import disk
from harness.sources.qemu.launch import runner

if TYPE_CHECKING:
    from harness.sources.base import Context
    from harness.sources.qemu import Qemu
    from harness.sources.qemu.vm import VirtualMachine


_REFUSED = re.compile(r"^\.|[/\x00-\x1f\x7f]")
_TAKES = (
    "no slash (output_directory says where images go), no dot in front and no control characters"
)
_LONGEST = 255 - len("-99.") - len("..partial")
"""Bytes that a file's name may have, without those that are added to it, and its ending."""


def check_targets(source: Qemu, context: Context) -> None:
    """Refuse to replace an image that is there.

    Raises:
        ConfigurationError: as it says, or the name is none.
    """
    naming.check("image_name", source.image_name, context, source.params, _names(source))
    targets = _targets(source, context)
    _check_folder(source, targets[0].parent)
    for target in targets:
        if target.exists():
            raise ConfigurationError(
                f"image_name={source.image_name!r}: {target} exists and an image is never "
                "replaced; put {timestamp} into the name, or remove the file"
            )


def _check_folder(source: Qemu, folder: Path) -> None:
    """Refuse a folder for images that cannot be made, or not be written to."""
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        fine = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    except PermissionError as error:
        nearest, fine = Path(error.filename), False
    if not fine:
        why = "may not be written to" if nearest.is_dir() else "is no folder"
        raise ConfigurationError(
            f"output_directory={str(source.output_directory)!r}: {nearest} {why}; images go "
            "below pytest's rootdir by default"
        )


def capture(source: Qemu, vm: VirtualMachine, context: Context) -> Image:
    """Write each disk of the stopped machine to a file by itself."""
    targets = _targets(source, context)
    for target in targets:
        partial = str(_partial(target))
        context.journal.intend(Resource("file", partial, source.type, context.build))
    targets[0].parent.mkdir(parents=True, exist_ok=True)
    files = []
    for path, target in zip(vm.place.disks(vm.shape), targets, strict=True):
        disk.flatten(
            runner(context), path, _partial(target), source.format, source.disk_compression
        )
        files.append(_described(target, context))
    properties = {
        "base": vm.inputs["base"]["name"],
        "base_checksum": vm.inputs["base"]["checksum"],
        "accelerator": vm.inputs["accelerator"],
    }
    if context.input_hash:
        properties["input_hash"] = context.input_hash
    if files[1:]:
        properties["additional_disks"] = files[1:]
    return Image(
        build=context.build,
        source_type=source.type,
        format=source.format,
        path=targets[0],
        properties=properties,
        **files[0],
    )


def is_there(image: Image, context: Context) -> bool:
    """Whether an image's file still is what it was."""
    path = image.path
    return (
        path is not None
        and path.is_file()
        and f"sha256:{cache.known_digest(path, context.cancel)}" == image.checksum
    )


def publish(source: Qemu, image: Image, context: Context) -> Image:
    """Give the files their names, the image's last, and let the stable name lead to it."""
    target, *others = _targets(source, context)
    with contextlib.ExitStack() as undo:
        for path in (*others, target):
            _name(path)
            undo.callback(path.unlink)
        undo.pop_all()
    for path in (target, *others):
        partial = _partial(path)
        partial.unlink()
        context.journal.gone(Resource("file", str(partial), source.type, context.build))
    stable = target.with_name(f"{context.build}.{source.format}")
    _point(stable, target)
    return replace(image, stable_path=Path(_shown(stable, context.root)))


def _names(source: Qemu) -> NameRule:
    return NameRule(_REFUSED, _TAKES, _LONGEST - len(source.format), in_bytes=True)


def _targets(source: Qemu, context: Context) -> list[Path]:
    """The image's file, and one for each additional disk."""
    name = naming.render("image_name", source.image_name, context, source.params, _names(source))
    directory = context.root / source.output_directory
    numbers = range(1, len(source.disk_additional_size) + 1)
    names = [name, *(f"{name}-{number}" for number in numbers)]
    return [directory / f"{name}.{source.format}" for name in names]


def _described(target: Path, context: Context) -> dict[str, Any]:
    partial = _partial(target)
    with ThreadPoolExecutor(1) as disk_writer:
        written = disk_writer.submit(_write_out, partial)
        checksum = cache.digest(partial, context.cancel)
        written.result()
    return {
        "id": _shown(target, context.root),
        "size": partial.stat().st_size,
        "checksum": f"sha256:{checksum}",
    }


def _write_out(path: Path) -> None:
    """See to it that a file is still whole after a power failure."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _name(target: Path) -> None:
    partial = _partial(target)
    # A hard link, which fails where a rename would silently replace what has come meanwhile.
    os.link(partial, target)


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _shown(path: Path, root: Path) -> str:
    """A path as a person wants to see it: relative to the project where it is inside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _point(link: Path, target: Path) -> None:
    """Let a symbolic link lead to the target, without a moment in which it leads nowhere."""
    if link == target:
        return
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    temporary.symlink_to(target.name)
    temporary.replace(link)
