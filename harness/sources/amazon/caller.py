"""The caller's address, as a security group has to know it."""

from __future__ import annotations

import ipaddress
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from harness.errors import SourceError

if TYPE_CHECKING:
    from harness.sources.amazon.network import Network
    from harness.sources.amazon.options import AmazonOptions
    from harness.sources.base import Context

_SECONDS = 10
_ANYWHERE_6 = "2600::"
_WAY_OUT = "give temporary_security_group_source_cidrs, or a security_group_id"


def cidrs(source: AmazonOptions, network: Network, context: Context) -> list[str]:
    """To whom the machine's group is open.

    Raises:
        SourceError: nobody tells the caller's address.
    """
    given = [*source.temporary_security_group_source_cidrs]
    if given and not source.temporary_security_group_source_public_ip:
        return given
    return [*given, _own(source, network, context)]


def _own(source: AmazonOptions, network: Network, context: Context) -> str:
    if source.ssh_interface == "ipv6":
        return _alone(_local(_ANYWHERE_6))
    if source.ssh_interface.startswith("private"):
        return _alone(_local(str(ipaddress.ip_network(network.cidr)[1])))
    return _alone(context.cancel.run(lambda: _public(source.checkip_url)))


def _public(url: str) -> str:
    """What the answer of a server says that tells callers their addresses."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - the author's
            text: str = answer.read(100).decode(errors="replace").strip()
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise SourceError(
            f"checkip_url={url!r} does not tell this computer's address: {error}; {_WAY_OUT}"
        ) from error
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise SourceError(
            f"checkip_url={url!r} answered {text!r}, which is no address; {_WAY_OUT}"
        ) from error
    return text


def _local(towards: str) -> str:
    """This computer's address on the way to another; nothing is sent."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((towards, 22))
            address: str = probe.getsockname()[0]
            return address
    except OSError as error:
        raise SourceError(f"there is no way to {towards} from here: {error}; {_WAY_OUT}") from error


def _alone(address: str) -> str:
    return str(ipaddress.ip_network(address))
