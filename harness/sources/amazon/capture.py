"""From a stopped machine to an image that nobody but its maker can use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from harness.model import Image
from harness.sources.amazon import devices, images, preflight, resources, waits
from harness.sources.amazon.images import Made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.amazon.machine import Ec2Machine
    from harness.sources.amazon.preflight import Plan
    from harness.sources.base import Context

CANDIDATE = "amazon candidate"
"""Under this the context notes the image that waits to be published."""


class Called(NamedTuple):
    """By what an image is found: its tag, its name."""

    token: str
    name: str


def capture(source: AmazonEbs, machine: Ec2Machine, context: Context) -> Image:
    """Make the image, and let the machine go meanwhile.

    Raises:
        SourceError: it cannot be made, or is not there in time.
    """
    waits.remaining(source, context)
    plan = preflight.plan(source, context)
    token = resources.intend(resources.IMAGE, source, plan.api, context)
    name = images.name_for(source, plan.api, context, plan.name)
    made_id = _create(source, plan, context, machine.id, Called(token, name))
    waits.image(source, plan.api, context, made_id, _has_begun)
    plan.api.call("terminate_instances", InstanceIds=[machine.id])
    found = waits.image(source, plan.api, context, made_id, waits.is_available)
    made = context.notes[CANDIDATE] = Made(plan.api, token, name, found)
    return described(source, context, machine.inputs, {plan.api.region: made})


def described(
    source: AmazonEbs,
    context: Context,
    inputs: Mapping[str, Any],
    made: Mapping[str, Made],
) -> Image:
    """The image as reports know it; the first of its regions is where the machine ran."""
    first = next(iter(made.values()))
    properties = {
        "region": first.api.region,
        "name": first.name,
        "amis": {region: each.id for region, each in made.items()},
        "snapshots": {region: each.snapshots for region, each in made.items()},
        "architecture": first.image.get("Architecture", ""),
        "source_ami": inputs.get("source_ami", ""),
    }
    if context.input_hash:
        properties["input_hash"] = context.input_hash
    size = images.size(first.image)
    return Image(first.id, context.build, source.type, "ami", size, "", properties=properties)


def _has_begun(image: Mapping[str, Any]) -> bool:
    """Whether all its snapshots have: what the machine writes or loses now is not in them."""
    volumes = [d["Ebs"] for d in image.get("BlockDeviceMappings", ()) if d.get("Ebs")]
    begun = volumes and all(volume.get("SnapshotId") for volume in volumes)
    return bool(begun) or waits.is_available(image)


def _create(source: AmazonEbs, plan: Plan, context: Context, instance: str, called: Called) -> str:
    mappings = [devices.as_api(mapping) for mapping in source.ami_block_device_mappings]
    return images.create(
        plan.api,
        "create_image",
        called.token,
        InstanceId=instance,
        Name=called.name,
        Description=source.ami_description or None,
        BlockDeviceMappings=mappings or None,
        TagSpecifications=images.specification(source, context, called.token),
    )
