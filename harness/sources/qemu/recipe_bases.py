"""The disks that recipes make: each made once and kept, with what its boot loader would load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness import cache
from harness.events import Notice, Output
from harness.sources.qemu import recipes, workshop

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sources.base import Context


def directory(recipe: recipes.Recipe) -> Path:
    """Where a recipe's disk (``disk.qcow2``) is kept once it is made."""
    return cache.directory() / "bases" / f"{recipe.name}-{recipes.digest(recipe)[:16]}"


def made(recipe: recipes.Recipe, context: Context) -> tuple[Path, str]:
    """The recipe's directory and its disk's checksum; the disk is made first if need be."""
    where = directory(recipe)

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
            digest = cache.digest(made / "disk.qcow2", context.cancel)
            (made / "base.json").write_text(json.dumps({"checksum": f"sha256:{digest}"}))
            made.replace(partial)

    context.pins.entry(where, context.cancel, make, name=recipe.name)
    return where, json.loads((where / "base.json").read_text())["checksum"]


def _log(context: Context, line: str) -> None:
    context.events.emit(Output(context.build, "console", f"{line}\n".encode()))
