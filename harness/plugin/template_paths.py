"""Paths of Packer templates where pytest wants modules: what only looks at builds takes both."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATE = "__harness_template__"
_MODULE = f"""\
import harness

{_TEMPLATE} = {{path!r}}
{{name}} = harness.packer_template({_TEMPLATE}, untested=True)
"""


def module(argument: str, folder: Path) -> str:
    """The module that stands for a Packer template; for anything else the argument itself.

    Args:
        argument: one of pytest's, a path or a node id.
        folder: where modules are made; whoever has made it removes it.
    """
    path = Path(argument)
    if path.suffix == ".py" or not path.is_file():
        return argument
    stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    name = stem if re.match(r"[A-Za-z]", stem) and not keyword.iskeyword(stem) else f"build_{stem}"
    module = folder / f"test_{len(list(folder.iterdir()))}.py"
    module.write_text(_MODULE.format(name=name, path=str(path.resolve())), encoding="utf-8")
    return str(module)


def origin(path: Path, names: Mapping[str, object]) -> Path:
    """What a person calls a module of these names: the template for which it stands, or itself."""
    return Path(str(names.get(_TEMPLATE, path)))
