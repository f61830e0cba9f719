"""Provisioners as data, with Packer's option names, for those who prefer them to calls."""

from harness.provisioners.base import Provisioner as Provisioner
from harness.provisioners.file import File as File
from harness.provisioners.shell import Shell as Shell
from harness.provisioners.shell_local import ShellLocal as ShellLocal

__all__ = ["TYPES", "File", "Provisioner", "Shell", "ShellLocal"]

TYPES: dict[str, type[Provisioner]] = {kind.type: kind for kind in (File, Shell, ShellLocal)}
"""By the type that a template names."""
