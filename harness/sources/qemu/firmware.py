"""EFI firmware for a machine, found as QEMU's packages describe it (docs/interop/firmware.json)."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ToolMissingError
from harness.sources.qemu import capabilities
from harness.sources.qemu.disk import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

# Firmware that starts signed loaders only, which a recipe's disk does not have.
_UNSUITABLE = {"requires-smm", "enrolled-keys"}


@dataclass(frozen=True)
class Firmware:
    """A program for the machine, and the variables that a new machine starts with."""

    code: str
    code_format: str
    variables: str
    variables_format: str

    def arguments(self, directory: Path) -> list[str]:
        """QEMU's arguments for a machine with variables of its own, in its ``directory``."""
        own = directory / "efivars.fd"
        shutil.copyfile(self.variables, own)
        code = f"format={self.code_format},readonly=on,file={escaped(Path(self.code))}"
        variables = f"format={self.variables_format},file={escaped(own)}"
        return [
            *("-drive", f"if=pflash,unit=0,{code}"),
            *("-drive", f"if=pflash,unit=1,{variables}"),
        ]


def find(machine_type: str) -> Firmware:
    """The firmware that this computer's administrator or distribution prefers for a machine.

    Raises:
        ToolMissingError: there is none.
    """
    name = machine_type.partition(",")[0]
    machine = capabilities.machine_types().get(name, name)
    for known in _descriptions():
        if _suits(known, machine):
            code, variables = (known["mapping"][part] for part in ("executable", "nvram-template"))
            return Firmware(
                code["filename"], code["format"], variables["filename"], variables["format"]
            )
    raise ToolMissingError(
        f"efi_boot=True needs EFI firmware for the machine {machine_type}, which none of "
        f"{', '.join(map(str, _directories()))} describes. Install with: apt-get install ovmf"
    )


def _suits(known: dict[str, Any], machine: str) -> bool:
    mapping = known["mapping"]
    return (
        "uefi" in known["interface-types"]
        and mapping["device"] == "flash"
        and mapping.get("mode", "split") == "split"
        and not _UNSUITABLE & set(known["features"])
        and any(
            target["architecture"] == "x86_64"
            and any(fnmatch.fnmatch(machine, pattern) for pattern in target["machines"])
            for target in known["targets"]
        )
    )


def _descriptions() -> Iterator[dict[str, Any]]:
    """Every description, the preferred first: a file hides those of its name further down."""
    files: dict[str, Path] = {}
    for directory in reversed(_directories()):
        files |= {path.name: path for path in directory.glob("*.json")}
    for _, path in sorted(files.items()):
        if text := path.read_text(encoding="utf-8"):  # an empty one only hides
            yield json.loads(text)


def _directories() -> list[Path]:
    """Where descriptions are, the strongest first."""
    user = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    program = shutil.which(capabilities.PROGRAM) or "/usr/bin/"
    package = Path(program).resolve().parent.parent / "share"
    places = [user, Path("/etc"), package, Path("/usr/share")]
    return [place / "qemu" / "firmware" for place in dict.fromkeys(places)]
