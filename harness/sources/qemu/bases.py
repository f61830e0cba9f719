"""What a machine starts from: a recipe's disk, an image file from elsewhere, or a local one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cache, checksum, urls
from harness.download import Download
from harness.errors import ConfigurationError, SourceError
from harness.sources.qemu import disk, recipe_bases, recipes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.sources.base import Context

SMALLEST = 64 * 1024
"""Bytes; an empty qcow2 has more."""
OPTION = "base_checksum"


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
    reads_credentials: bool = False
    kernel: Path | None = None

    @property
    def boot_arguments(self) -> tuple[tuple[str, ...], ...]:
        """QEMU's arguments for a boot without the boot loader: under emulation it takes seconds.

        A guest that reboots ends QEMU, since it may want another kernel than this by then; it is
        started again without these (`Qemu.revive`).
        """
        if self.kernel is None:
            return ()
        return (
            ("-kernel", str(self.kernel / "vmlinuz")),
            ("-initrd", str(self.kernel / "initrd.img")),
            ("-append", (self.kernel / "cmdline").read_text(encoding="utf-8")),
            ("-no-reboot",),
        )

    @property
    def inputs(self) -> Mapping[str, Any]:
        return {"base": {"name": self.name, "checksum": self.checksum}}


def check(base: str | Path | Sequence[str], wanted: str, context: Context) -> None:
    """Refuse a base that is no recipe, no URL and no file, or whose checksum does not suit it.

    Raises:
        ConfigurationError: as it says.
    """
    if mirrors := _mirrors(base):
        for url in mirrors:
            urls.check("base", url)
        if not wanted:
            raise checksum.required(OPTION, urls.shown(mirrors[0]))
    elif str(base) in recipes.RECIPES:
        if wanted:
            raise ConfigurationError(
                f"{OPTION}={wanted!r} has nothing to check: {base} is a recipe, made here from "
                "packages whose signatures apt verifies; leave it out"
            )
    elif _local(base, context).is_dir():
        raise ConfigurationError(f"base={base!r} is a folder: name the disk image in it")
    elif not _local(base, context).is_file():
        raise ConfigurationError(
            f"base={base!r} is no recipe ({', '.join(sorted(recipes.RECIPES))}), no URL, and there "
            f"is no such file (relative paths start at {context.directory})"
        )
    elif (size := _local(base, context).stat().st_size) < SMALLEST:
        raise ConfigurationError(f"base={base!r} has {size} bytes, which is no disk image")
    if wanted:
        checksum.check(OPTION, wanted, context)


def tools(base: str | Path | Sequence[str]) -> Mapping[str, str]:
    """What having it takes, programs and files, and the Debian package of each."""
    recipe = recipes.RECIPES.get(str(base))
    return recipes.tools(recipe) if recipe else {}


def resolve(base: str | Path | Sequence[str], wanted: str, context: Context) -> Base:
    """The base, made or fetched first if it is not here yet.

    Raises:
        SourceError: it cannot be had, or it is not what it must be.
    """
    if recipe := recipes.RECIPES.get(str(base)):
        where, digest = recipe_bases.made(recipe, context)
        path = where / "disk.qcow2"
        return Base(recipe.name, path, "qcow2", recipe.disk_size, digest, True, where)
    if mirrors := _mirrors(base):
        names = {urls.file_name(url) for url in mirrors}
        expected = checksum.resolve(OPTION, wanted, names, context)
        path, name = Download(mirrors, expected).path(context), urls.shown(mirrors[0])
    else:
        path, name = _local(base, context).resolve(), str(base)
        context.pins.keep(path)
        expected = checksum.resolve(OPTION, wanted, {path.name}, context)
    if expected is not None:
        _verify(path, name, expected, context)
    known = disk.info(path)
    disk.check_bootable(path, known, name, alone=bool(mirrors))
    digest = f"sha256:{cache.known_digest(path, context.cancel)}"
    return Base(name, path, known["format"], known["virtual-size"], digest)


def shown(base: str | Path | Sequence[str]) -> str | list[str]:
    """A base as a manifest may show it."""
    mirrors = [urls.shown(url) for url in _mirrors(base)]
    return mirrors if len(mirrors) > 1 else "".join(mirrors) or str(base)


def _mirrors(base: str | Path | Sequence[str]) -> tuple[str, ...]:
    """The mirrors of a base from elsewhere; none: it is a recipe or a local file."""
    if isinstance(base, str | Path):
        text = str(base)
        return (text,) if "://" in text and not text.startswith("file://") else ()
    return tuple(base)


def _local(base: object, context: Context) -> Path:
    return context.directory / str(base).removeprefix("file://")


def _verify(path: Path, name: str, expected: checksum.Checksum, context: Context) -> None:
    """Look again, whoever wrote the file and whenever; this costs once for each of its states."""
    found = cache.known_digest(path, context.cancel, expected.algorithm)
    if found != expected.digits:
        raise SourceError(
            f"base={name!r} is not the file that {OPTION} says:\n  expected {expected}\n"
            f"  found    {expected.algorithm}:{found} ({path})"
        )
