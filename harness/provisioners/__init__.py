"""Provisioners as data, with Packer's option names, for those who prefer them to calls."""

from harness.provisioners.base import Provisioner as Provisioner
from harness.provisioners.file import File as File
from harness.provisioners.shell import Shell as Shell
from harness.provisioners.shell_local import ShellLocal as ShellLocal

__all__ = ["File", "Provisioner", "Shell", "ShellLocal"]
