"""What both taking an image and publishing it do with images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.sources.amazon import tags
from harness.sources.amazon.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.sources.amazon.account import Api
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context


@dataclass(frozen=True)
class Made:
    """An image of ours in a region.

    Args:
        api: the region's.
        token: the tag by which it is found.
        name: what it is called, so far.
        image: as DescribeImages tells of it.
    """

    api: Api
    token: str
    name: str
    image: Mapping[str, Any]

    @property
    def id(self) -> str:
        found: str = self.image["ImageId"]
        return found

    @property
    def snapshots(self) -> list[str]:
        return snapshots(self.image)


def snapshots(image: Mapping[str, Any]) -> list[str]:
    """The snapshots of an image, as far as they have begun."""
    devices = (device.get("Ebs", {}) for device in image.get("BlockDeviceMappings", ()))
    return [found for ebs in devices if (found := ebs.get("SnapshotId"))]


def size(image: Mapping[str, Any]) -> int:
    """Bytes that its volumes have together."""
    devices = (device.get("Ebs", {}) for device in image.get("BlockDeviceMappings", ()))
    return sum(int(ebs.get("VolumeSize", 0)) for ebs in devices) << 30


def specification(source: AmazonEbs, context: Context, token: str) -> list[dict[str, Any]]:
    """The tags of an image and its snapshots, from their creation on."""
    own = tags.ours(source, context, token)
    if context.input_hash:
        own[tags.INPUTS] = context.input_hash
    return tags.specification(
        {
            "image": {**source.tags, **own},
            "snapshot": {**source.tags, **source.snapshot_tags, **own},
        }
    )


def named(api: Api, name: str) -> list[dict[str, Any]]:
    """The account's own images of this name in a region; there can be one."""
    filters = [{"Name": "name", "Values": [name]}]
    found = api.list("describe_images", "Images", Owners=["self"], Filters=filters)
    return [image for image in found if image.get("Name") == name]


def tagged(api: Api, token: str) -> list[dict[str, Any]]:
    """The images that carry a token."""
    filters = tags.filters(token=token)
    return api.list("describe_images", "Images", Owners=["self"], Filters=filters)


def create(api: Api, operation: str, token: str, **parameters: Any) -> str:
    """The id of an image that is made by a call that takes no client token.

    That an answer was lost shows in the name, which is taken then, by an image with our tag.
    """
    try:
        made = api.call(operation, **parameters)
    except ApiError as error:
        ours = tagged(api, token) if error.code == "InvalidAMIName.Duplicate" else []
        if not ours:
            raise
        made = ours[0]
    id: str = made["ImageId"]  # noqa: A001 - the API's word
    return id


def name_for(source: AmazonEbs, api: Api, context: Context, name: str) -> str:
    """What a new image is called at first: its name, unless another one still has it."""
    if source.force_deregister and named(api, name):
        return f"{name[:80]} {context.run_id[:47]}"
    return name


def deregister(api: Api, id: str) -> None:
    """Remove an image, but not its snapshots; one that is not there is no error."""
    try:
        api.call("deregister_image", ImageId=id)
    except ApiError as error:
        if not error.is_not_found:
            raise


def delete_snapshot(api: Api, id: str) -> None:
    """Remove a snapshot; one that is not there is no error."""
    try:
        api.call("delete_snapshot", SnapshotId=id)
    except ApiError as error:
        if not error.is_not_found:
            raise
