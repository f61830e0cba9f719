"""Build machine images with pytest; an image is taken only if its tests pass on the machine.

The public names, imported when first used: pytest loads this package in every session.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness import post_processors as post_processors
    from harness import provisioners as provisioners
    from harness.assertions import Host as Host
    from harness.definition import build as build
    from harness.definition import only as only
    from harness.definition import sealed as sealed
    from harness.errors import CommandError as CommandError
    from harness.errors import CommandTimeoutError as CommandTimeoutError
    from harness.errors import ConfigurationError as ConfigurationError
    from harness.errors import HarnessError as HarnessError
    from harness.given import Variables as Variables
    from harness.machine import Machine as Machine
    from harness.model import CommandResult as CommandResult
    from harness.model import Image as Image
    from harness.packer_builds import packer_template as packer_template
    from harness.seal import Seal as Seal
    from harness.secret import Secret as Secret
    from harness.sources.amazon.ebs import AmazonEbs as AmazonEbs
    from harness.sources.base import Source as Source
    from harness.sources.qemu import Qemu as Qemu
    from harness.variables import var as var

_PUBLIC = {
    "AmazonEbs": "harness.sources.amazon.ebs",
    "CommandError": "harness.errors",
    "CommandResult": "harness.model",
    "CommandTimeoutError": "harness.errors",
    "ConfigurationError": "harness.errors",
    "HarnessError": "harness.errors",
    "Host": "harness.assertions",
    "Image": "harness.model",
    "Machine": "harness.machine",
    "Qemu": "harness.sources.qemu",
    "Seal": "harness.seal",
    "Secret": "harness.secret",
    "Source": "harness.sources.base",
    "Variables": "harness.given",
    "build": "harness.definition",
    "only": "harness.definition",
    "packer_template": "harness.packer_builds",
    "sealed": "harness.definition",
    "var": "harness.variables",
}
_MODULES = ("post_processors", "provisioners")

__all__ = [  # noqa: PLE0604 - the names are the table's, so that there is one list
    *_PUBLIC,
    *_MODULES,
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"harness.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'harness' has no attribute {name!r}; it has {__all__}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
