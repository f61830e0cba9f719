"""A machine on EC2, as far as a build knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness import keys

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Keys:
    """One machine's keys. They live in memory, and as long as the machine does.

    ``private`` and ``public`` are empty where somebody else's key or password lets us in.
    """

    private: str = field(repr=False)
    public: str
    host_private: str = field(repr=False)
    host_public: str

    @classmethod
    def generate(cls, own: tuple[str, str]) -> Keys:
        return cls(*own, *keys.generate_key())


@dataclass(frozen=True)
class Ec2Machine:
    """It runs.

    Args:
        id: the instance's.
        region: where it is.
        keys: those that it was given.
        public_key: the line that the seal takes out; empty: none.
        addresses: by the names of ``ssh_interface``, as far as it has them.
        inputs: for the manifest.
        token: the tag by which the instance is found.
    """

    id: str
    region: str
    keys: Keys
    public_key: str
    addresses: Mapping[str, str]
    inputs: Mapping[str, Any]
    token: str
    settled: bool = False


def addresses(instance: Mapping[str, Any]) -> dict[str, str]:
    """The addresses of an instance, by the names of ``ssh_interface``."""
    named = {
        "public_ip": instance.get("PublicIpAddress"),
        "private_ip": instance.get("PrivateIpAddress"),
        "public_dns": instance.get("PublicDnsName"),
        "private_dns": instance.get("PrivateDnsName"),
        "ipv6": instance.get("Ipv6Address") or _first_ipv6(instance),
    }
    return {name: address for name, address in named.items() if address}


def _first_ipv6(instance: Mapping[str, Any]) -> str:
    for interface in instance.get("NetworkInterfaces", ()):
        for address in interface.get("Ipv6Addresses", ()):
            found: str = address["Ipv6Address"]
            return found
    return ""
