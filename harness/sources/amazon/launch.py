"""From options to a machine that runs: key pair, security group, instance."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from harness.sources.amazon import caller, parameters, preflight, resources, tags, waits
from harness.sources.amazon.errors import ApiError
from harness.sources.amazon.machine import Ec2Machine, Keys, addresses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.sources.amazon.account import Api
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.amazon.preflight import Plan
    from harness.sources.base import Context


def launch(source: AmazonEbs, context: Context) -> Ec2Machine:
    """Start a machine, and wait until it runs.

    Raises:
        SourceError: it cannot be made, or does not run in time.
    """
    tags.begin(context)
    waits.remaining(source, context)
    plan = preflight.plan(source, context)
    keys = Keys.generate(source.temporary_key())
    key_name = _import_key(source, plan.api, context, _public_key(source, context, keys))
    groups = plan.network.groups or (_make_group(source, plan, context),)
    common = parameters.common(source, plan.image, context, keys)
    common |= {"KeyName": key_name} if key_name else {}
    instance, token = _run(source, plan, context, common, groups)
    found = waits.instance(source, plan.api, context, instance, "running")
    return Ec2Machine(
        id=instance,
        region=plan.api.region,
        keys=keys,
        public_key=keys.public if source.ssh_clear_authorized_keys else "",
        addresses=addresses(found),
        inputs=_inputs(plan, found),
        token=token,
    )


def _inputs(plan: Plan, instance: Mapping[str, Any]) -> dict[str, Any]:
    image = plan.image
    return {
        "source_ami": image["ImageId"],
        "source_ami_name": image.get("Name", ""),
        "region": plan.api.region,
        "instance_type": instance.get("InstanceType", ""),
        "availability_zone": instance.get("Placement", {}).get("AvailabilityZone", ""),
    }


def _public_key(source: AmazonEbs, context: Context, keys: Keys) -> str:
    """What EC2's key pair has: our key, or the public half of the author's."""
    if keys.public or not source.ssh_private_key_file:
        return keys.public
    from harness.ssh.keys import private_key

    key = private_key(source.endpoint(context, "", 0, "", "").private_key)
    return f"{key.get_name()} {key.get_base64()}"


def _import_key(source: AmazonEbs, api: Api, context: Context, public_key: str) -> str:
    """The name of a key pair; empty: there is no key."""
    if not public_key:
        return ""
    token = resources.intend(resources.KEY_PAIR, source, api, context)
    own = {**source.run_tags, **tags.ours(source, context, token)}
    try:
        api.call(
            "import_key_pair",
            KeyName=token,
            PublicKeyMaterial=public_key.encode(),
            TagSpecifications=tags.specification({"key-pair": own}),
        )
    except ApiError as error:
        if error.code != "InvalidKeyPair.Duplicate":  # made by a call whose answer was lost
            raise
    return token


def _make_group(source: AmazonEbs, plan: Plan, context: Context) -> str:
    """The id of a security group that lets the caller in, and nobody else."""
    ranges = caller.cidrs(source, plan.network, context)
    token = resources.intend(resources.GROUP, source, plan.api, context)
    group = _create_group(source, plan, context, token)
    four = [{"CidrIp": cidr} for cidr in ranges if ":" not in cidr]
    six = [{"CidrIpv6": cidr} for cidr in ranges if ":" in cidr]
    rule: dict[str, Any] = {"IpProtocol": "tcp"}
    rule |= {"FromPort": source.ssh_port, "ToPort": source.ssh_port}
    rule |= ({"IpRanges": four} if four else {}) | ({"Ipv6Ranges": six} if six else {})
    try:
        plan.api.call(
            "authorize_security_group_ingress",
            settling=True,
            GroupId=group,
            IpPermissions=[rule],
        )
    except ApiError as error:
        if error.code != "InvalidPermission.Duplicate":  # as with the key pair
            raise
    return group


def _create_group(source: AmazonEbs, plan: Plan, context: Context, token: str) -> str:
    own = {**source.run_tags, **tags.ours(source, context, token)}
    try:
        made = plan.api.call(
            "create_security_group",
            GroupName=token,
            Description=f"temporary, of run {context.run_id}",
            VpcId=plan.network.vpc_id,
            TagSpecifications=tags.specification({"security-group": own}),
        )
    except ApiError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
        groups = plan.api.list(
            "describe_security_groups", "SecurityGroups", Filters=tags.filters(token=token)
        )
        made = groups[0]
    group: str = made["GroupId"]
    return group


def _run(
    source: AmazonEbs,
    plan: Plan,
    context: Context,
    common: Mapping[str, Any],
    groups: Sequence[str],
) -> tuple[str, str]:
    """An instance's id and its token; of the places and types, the first that has capacity."""
    choices = [*itertools.product(source.instance_types, plan.network.subnets or ("",))]
    for number, (type_, subnet) in enumerate(choices, 1):
        token = resources.intend(resources.INSTANCE, source, plan.api, context)
        own = {
            **common,
            **parameters.interface(source, subnet, groups),
            "InstanceType": type_,
            "ClientToken": token,
            "TagSpecifications": parameters.tagged(source, context, token),
        }
        try:
            made = plan.api.call("run_instances", settling=True, **own)
        except ApiError as error:
            if not error.is_lack_of_capacity or number == len(choices):
                raise
            resources.gone(resources.INSTANCE, source, plan.api, context, token)
        else:
            return made["Instances"][0]["InstanceId"], token
    raise AssertionError  # there is at least one choice
