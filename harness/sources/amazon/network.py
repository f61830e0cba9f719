"""Where a machine goes: its network, its subnets, whose groups guard it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigurationError
from harness.sources.amazon.errors import ApiError
from harness.sources.amazon.origin import as_filters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.sources.amazon.account import Api
    from harness.sources.amazon.options import AmazonOptions


@dataclass(frozen=True)
class Network:
    """What was found of it.

    Args:
        vpc_id: the network.
        subnets: in the order in which they are tried; empty: EC2 chooses.
        cidr: the addresses of the first, or of the network.
        groups: the author's own; empty: a temporary one.
    """

    vpc_id: str
    subnets: tuple[str, ...]
    cidr: str
    groups: tuple[str, ...]


def find(source: AmazonOptions, api: Api) -> Network:
    """Where the machine goes.

    Raises:
        ConfigurationError: something that the options name is not there, or not in that network.
    """
    named = bool(source.vpc_id or source.vpc_filter)
    vpc = _vpc(source, api) if named or not (source.subnet_id or source.subnet_filter) else None
    subnets = _subnets(source, api, vpc if named else None)
    vpc = vpc or _one(api, "vpc_id", subnets[0]["VpcId"], "describe_vpcs", "Vpcs")
    for subnet in subnets:
        if subnet["VpcId"] != vpc["VpcId"]:
            raise ConfigurationError(
                f"the subnet {subnet['SubnetId']} is in {subnet['VpcId']}, not in {vpc['VpcId']}"
            )
    groups = _groups(source, api, vpc["VpcId"])
    cidr = subnets[0]["CidrBlock"] if subnets else vpc["CidrBlock"]
    return Network(vpc["VpcId"], tuple(s["SubnetId"] for s in subnets), cidr, groups)


def _subnets(
    source: AmazonOptions, api: Api, vpc: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """The subnets to try; ``vpc`` is the network that the author has named."""
    if source.subnet_id:
        return [_one(api, "subnet_id", source.subnet_id, "describe_subnets", "Subnets")]
    if not source.subnet_filter and vpc is None:
        return []
    filters = dict(source.subnet_filter.get("filters", {}))
    filters |= {"vpc-id": vpc["VpcId"]} if vpc else {}
    filters |= {"availability-zone": z} if (z := source.availability_zone) else {}
    found = api.list("describe_subnets", "Subnets", Filters=as_filters(filters))
    if not found:
        raise ConfigurationError(f"no subnet in {api.region} fits {filters!r}")
    if source.subnet_filter.get("random"):
        random.shuffle(found)
    else:
        found.sort(key=lambda subnet: -int(subnet.get("AvailableIpAddressCount", 0)))
    return found


def _vpc(source: AmazonOptions, api: Api) -> Mapping[str, Any]:
    if source.vpc_id:
        return _one(api, "vpc_id", source.vpc_id, "describe_vpcs", "Vpcs")
    filters = source.vpc_filter.get("filters") or {"is-default": "true"}
    found = api.list("describe_vpcs", "Vpcs", Filters=as_filters(filters))
    if len(found) == 1:
        vpc: Mapping[str, Any] = found[0]
        return vpc
    if not source.vpc_filter:
        raise ConfigurationError(
            f"{api.region} has no default network: name one with vpc_id, or a subnet_id"
        )
    ids = ", ".join(each["VpcId"] for each in found) or "none"
    raise ConfigurationError(f"vpc_filter: one network has to fit {filters!r}; there is {ids}")


def _groups(source: AmazonOptions, api: Api, vpc_id: str) -> tuple[str, ...]:
    ids = [*([source.security_group_id] if source.security_group_id else [])]
    ids += source.security_group_ids
    for each in ids:
        group = _one(api, "security_group_id", each, "describe_security_groups", "SecurityGroups")
        if group["VpcId"] != vpc_id:
            raise ConfigurationError(
                f"security_group_id: {each} is in {group['VpcId']}, and the machine in {vpc_id}"
            )
    if source.security_group_filter:
        filters = {**source.security_group_filter.get("filters", {}), "vpc-id": vpc_id}
        found = api.list("describe_security_groups", "SecurityGroups", Filters=as_filters(filters))
        if not found:
            raise ConfigurationError(f"security_group_filter: no group fits {filters!r}")
        ids += [group["GroupId"] for group in found]
    return tuple(ids)


_IDS = {
    "describe_subnets": "SubnetIds",
    "describe_vpcs": "VpcIds",
    "describe_security_groups": "GroupIds",
}


def _one(api: Api, option: str, id: str, operation: str, key: str) -> dict[str, Any]:
    by_id: dict[str, Any] = {_IDS[operation]: [id]}
    try:
        found: dict[str, Any] = api.call(operation, **by_id)[key][0]
    except ApiError as error:
        if not error.is_not_found and "Malformed" not in error.code:
            raise
        raise ConfigurationError(f"{option}={id!r}: there is none in {api.region}") from error
    return found
