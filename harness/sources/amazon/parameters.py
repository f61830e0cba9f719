"""What RunInstances is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.sources.amazon import devices, tags, user_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.amazon.machine import Keys
    from harness.sources.base import Context


def common(
    source: AmazonEbs, image: Mapping[str, Any], context: Context, keys: Keys
) -> dict[str, Any]:
    """What is the same wherever the instance is tried.

    Args:
        source: the options.
        image: the source image, as DescribeImages tells of it.
        context: the build's.
        keys: what the machine is given.
    """
    given = {
        "ImageId": image["ImageId"],
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": user_data.packed(source, context, keys) or None,
        "EbsOptimized": source.ebs_optimized or None,
        "MetadataOptions": _metadata(source),
        "Placement": _placement(source),
        "InstanceInitiatedShutdownBehavior": None if source.is_spot else source.shutdown_behavior,
        "IamInstanceProfile": {"Name": p} if (p := source.iam_instance_profile) else None,
        "InstanceMarketOptions": _spot(source) if source.is_spot else None,
        "BlockDeviceMappings": devices.launched(
            image,
            source.launch_block_device_mappings,
            encrypt=source.encrypt_boot,
            key=source.kms_key_id,
        ),
    }
    return {name: value for name, value in given.items() if value is not None}


def _metadata(source: AmazonEbs) -> dict[str, Any]:
    given = {
        "".join(map(str.capitalize, name.split("_"))): value
        for name, value in source.metadata_options.items()
    }
    return {"HttpEndpoint": "enabled", "HttpTokens": "required", **given}


def _placement(source: AmazonEbs) -> dict[str, Any] | None:
    given = {
        "".join(map(str.capitalize, name.split("_"))): value
        for name, value in source.placement.items()
    }
    given |= {"AvailabilityZone": zone} if (zone := source.availability_zone) else {}
    return given or None


def _spot(source: AmazonEbs) -> dict[str, Any]:
    price = {"MaxPrice": p} if (p := source.spot_price) and p != "auto" else {}
    return {
        "MarketType": "spot",
        "SpotOptions": {
            "SpotInstanceType": "one-time",
            "InstanceInterruptionBehavior": "terminate",
            **price,
        },
    }


def interface(source: AmazonEbs, subnet: str, groups: Sequence[str]) -> dict[str, Any]:
    """The network of an instance; without groups the network's default one guards it."""
    if source.associate_public_ip_address is None and source.ssh_interface != "ipv6":
        own = {"SecurityGroupIds": list(groups), "SubnetId": subnet}
        return {name: value for name, value in own.items() if value}
    card: dict[str, Any] = {"DeviceIndex": 0, "DeleteOnTermination": True}
    card |= {"Groups": list(groups)} if groups else {}
    card |= {"SubnetId": subnet} if subnet else {}
    card |= {"Ipv6AddressCount": 1} if source.ssh_interface == "ipv6" else {}
    if source.associate_public_ip_address is not None:
        card["AssociatePublicIpAddress"] = source.associate_public_ip_address
    return {"NetworkInterfaces": [card]}


def tagged(source: AmazonEbs, context: Context, token: str) -> list[dict[str, Any]]:
    """The tags of all that RunInstances makes."""
    own = tags.ours(source, context, token)
    kinds = {
        "instance": {"Name": f"{context.build} (being built)", **source.run_tags, **own},
        "volume": {**source.run_volume_tags, **own},
    }
    if source.is_spot:
        kinds["spot-instances-request"] = {**source.spot_tags, **own}
    return tags.specification(kinds)
