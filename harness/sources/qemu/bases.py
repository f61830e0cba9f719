"""What a machine starts from: a recipe's disk, made once and kept, or a local image file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import cache
from harness.errors import ConfigurationError
from harness.events import Notice, Output
from harness.sources.qemu import disk, recipes, workshop

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.sources.base import Context


@dataclass(frozen=True)
class Base:
    """A disk that is never written to.

    ``reads_credentials``: root's key and the host key can come without cloud-init.
    ``kernel``: the folder of what the disk's own boot loader would load, where it is known.
    """

    name: str
    path: Path
    format: str
    size: int
    checksum: str
    reads_credentials: bool
    kernel: Path | None = None

    @property
    def boot_arguments(self) -> list[str]:
        """QEMU's arguments for a boot without the boot loader: under emulation it takes seconds.

        A guest that reboots ends QEMU, since it may want another kernel than this by then.
        """
        if self.kernel is None:
            return []
        return [
            *("-kernel", str(self.kernel / "vmlinuz")),
            *("-initrd", str(self.kernel / "initrd.img")),
            *("-append", (self.kernel / "cmdline").read_text(encoding="utf-8")),
            "-no-reboot",
        ]

    @property
    def inputs(self) -> Mapping[str, Any]:
        return {"base": {"name": self.name, "checksum": self.checksum}}


def check(name: str, context: Context) -> None:
    """Refuse a base that is neither a recipe nor a file."""
    if name not in recipes.RECIPES and not (context.directory / name).is_file():
        raise ConfigurationError(
            f"base={name!r} is no recipe ({', '.join(sorted(recipes.RECIPES))}) and there is "
            f"no such file (relative paths start at {context.directory})"
        )


def resolve(name: str, context: Context) -> Base:
    """The base, made first if it is a recipe that has not been made here yet."""
    if recipe := recipes.RECIPES.get(name):
        return _of_recipe(recipe, context)
    path = (context.directory / name).resolve()
    known = disk.info(path)
    checksum = f"sha256:{cache.known_digest(path, context.cancel)}"
    return Base(name, path, known["format"], known["virtual-size"], checksum, False)


def recipe_directory(recipe: recipes.Recipe) -> Path:
    """Where a recipe's disk (``disk.qcow2``) is kept once it is made."""
    return cache.directory() / "bases" / f"{recipe.name}-{recipes.digest(recipe)[:16]}"


def _of_recipe(recipe: recipes.Recipe, context: Context) -> Base:
    where = recipe_directory(recipe)

    def make(partial: Path) -> None:
        notice = f"making the base {recipe.name} with mmdebstrap, once: a minute or two"
        context.events.emit(Notice(context.build, notice))
        with workshop.beside(where, context) as work:
            made = work / "made"
            made.mkdir()
            recipes.make(
                recipe,
                made / "disk.qcow2",
                work=work,
                log=lambda line: _log(context, line),
                cancelled=context.cancel.is_set,
            )
            checksum = cache.digest(made / "disk.qcow2", context.cancel)
            (made / "base.json").write_text(json.dumps({"checksum": f"sha256:{checksum}"}))
            made.replace(partial)

    cache.entry(where, context.cancel, make)
    checksum = json.loads((where / "base.json").read_text())["checksum"]
    return Base(
        recipe.name,
        where / "disk.qcow2",
        "qcow2",
        recipe.disk_size,
        checksum,
        reads_credentials=True,
        kernel=where,
    )


def _log(context: Context, line: str) -> None:
    context.events.emit(Output(context.build, "console", f"{line}\n".encode()))
