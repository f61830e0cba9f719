"""Older images of a build, retired once the new one is published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.events import Notice
from harness.sources.amazon import images, tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.sources.amazon.account import Api
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.amazon.images import Made
    from harness.sources.base import Context

KEEP = "image-harness:keep"
"""Who has put this tag on an image wants it to stay, whatever its value."""


def retire(source: AmazonEbs, context: Context, made: Sequence[Made]) -> None:
    """Keep the newest images of this build in each region, as ``keep_last`` says.

    The new image is there whatever comes of this: what cannot be retired is told.
    """
    for each in made if source.keep_last else ():
        try:
            for image in _surplus(source, context, each):
                if user := _user(each.api, image["ImageId"]):
                    _tell(context, f"{image['ImageId']} is kept: {user} uses it")
                    continue
                images.deregister(each.api, image["ImageId"])
                delete_snapshots(each.api, image, context)
                _tell(context, f"retired in {each.api.region}: {image['ImageId']}")
        except HarnessError as error:
            _tell(context, f"older images in {each.api.region} could not be retired: {error}")


def delete_snapshots(api: Api, image: Mapping[str, Any], context: Context) -> None:
    """Remove the snapshots of an image that is retired; one that another uses stays."""
    for snapshot in images.snapshots(image):
        try:
            images.delete_snapshot(api, snapshot)
        except HarnessError as error:
            _tell(context, f"the snapshot {snapshot} of {image['ImageId']} stays: {error}")


def _surplus(source: AmazonEbs, context: Context, made: Made) -> list[dict[str, Any]]:
    """The images of the build that are too many, but the new one."""
    filters = [
        *tags.filters(project=context.root.name, build=context.build),
        {"Name": "state", "Values": ["available"]},
    ]
    found = made.api.list("describe_images", "Images", Owners=["self"], Filters=filters)
    older = [
        image
        for image in found
        if image["ImageId"] != made.id and not {tags.EXPIRES, KEEP} & tags.of(image).keys()
    ]
    older.sort(key=lambda image: image["CreationDate"], reverse=True)
    return older[source.keep_last - 1 :]


def _user(api: Api, image: str) -> str:
    """What uses an image: an instance, or a version of a launch template; empty: nothing."""
    filters = [{"Name": "image-id", "Values": [image]}]
    for each in api.list("describe_instances", "Reservations", Filters=filters):
        for instance in each["Instances"]:
            if instance["State"]["Name"] not in ("shutting-down", "terminated"):
                return f"the instance {instance['InstanceId']}"
    return next((f"the launch template {t}" for t in _templates(api, image)), "")


def _templates(api: Api, image: str) -> Iterator[str]:
    for template in api.list("describe_launch_templates", "LaunchTemplates"):
        template_id = template["LaunchTemplateId"]
        versions = api.list(
            "describe_launch_template_versions",
            "LaunchTemplateVersions",
            LaunchTemplateId=template_id,
        )
        if any(v.get("LaunchTemplateData", {}).get("ImageId") == image for v in versions):
            yield template.get("LaunchTemplateName", template_id)


def _tell(context: Context, text: str) -> None:
    context.events.emit(Notice(context.build, text))
