"""From a whole image to one that others find: copies, permissions, its name, its predecessors."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, SourceError
from harness.sources.amazon import images, preflight, resources, retention, sharing, tags, waits
from harness.sources.amazon.capture import CANDIDATE, described
from harness.sources.amazon.images import Made
from harness.sources.amazon.together import all_results

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import Image
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context

_REGISTERED = (
    "Architecture",
    "RootDeviceName",
    "VirtualizationType",
    "EnaSupport",
    "SriovNetSupport",
    "BootMode",
    "TpmSupport",
    "ImdsSupport",
)
"""What an image that takes over snapshots has of the one that they were made for."""


def publish(source: AmazonEbs, image: Image, context: Context) -> Image:
    """Copy the image, let others use it, give it its name, and retire those before it.

    Until all of that is done the image and its copies are the run's, and go if any of it fails;
    protection against removal comes last, and an image that cannot be protected stays.

    Raises:
        SourceError: something could not be done.
    """
    candidate: Made = context.notes[CANDIDATE]
    name = preflight.plan(source, context).name
    copies = {
        region: functools.partial(_copy, source, context, candidate, region, name)
        for region in source.ami_regions
    }
    made = {candidate.api.region: candidate, **all_results(copies)}
    _for_each(made, functools.partial(sharing.share, source))
    named = {region: _take_name(source, context, each, name) for region, each in made.items()}
    _for_each(named, functools.partial(sharing.deprecate, source))
    for region, each in made.items():
        if named[region] is each:
            _let_go(source, context, each)
    _for_each(named, functools.partial(sharing.protect, source))
    retention.retire(source, context, list(named.values()))
    return described(source, context, {"source_ami": image.properties["source_ami"]}, named)


def find(source: AmazonEbs, made_of: str, noted: Image | None, context: Context) -> Image | None:
    """An image that is there, was made of these inputs, and is not too old."""
    del noted  # the tags of the image tell more: somebody else may have made it
    api = preflight.plan(source, context).api
    filters = [*tags.filters(inputs=made_of), {"Name": "state", "Values": ["available"]}]
    youngest = time.time() - context.image_age
    for image in api.list("describe_images", "Images", Owners=["self"], Filters=filters):
        made = Made(api, tags.of(image).get(tags.TOKEN, ""), image.get("Name", ""), image)
        finished = tags.EXPIRES not in tags.of(image)
        if finished and _created(image["CreationDate"]) >= youngest:
            return described(source, context, {}, {api.region: made})
    return None


def _created(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def _for_each(made: dict[str, Made], do: Callable[[Made], None]) -> None:
    all_results({region: functools.partial(do, each) for region, each in made.items()})


def _copy(source: AmazonEbs, context: Context, first: Made, region: str, name: str) -> Made:
    api = first.api.elsewhere(region)
    token = resources.intend(resources.IMAGE, source, api, context)
    called = images.name_for(source, api, context, name)
    encryption: dict[str, Any] = {"Encrypted": True} if source.encrypt_boot else {}
    encryption |= {"KmsKeyId": key} if (key := source.region_kms_key_ids.get(region)) else {}
    copied = api.call(
        "copy_image",
        settling=True,
        Name=called,
        Description=source.ami_description or None,
        SourceImageId=first.id,
        SourceRegion=first.api.region,
        ClientToken=token,
        TagSpecifications=images.specification(source, context, token),
        **encryption,
    )
    found = waits.image(source, api, context, copied["ImageId"], waits.is_available)
    return Made(api, token, called, found)


def _take_name(source: AmazonEbs, context: Context, made: Made, name: str) -> Made:
    """The image under its name, if another one has kept it from that.

    A name cannot be changed, but snapshots can be registered anew, which takes no time. From the
    moment at which the image before it is retired the new one stays, whatever happens then.
    """
    if made.name == name:
        return made
    made = replace(made, api=made.api.unstoppable())
    retired = images.named(made.api, name)
    for old in retired:
        images.deregister(made.api, old["ImageId"])
    try:
        new = _register(source, context, made, name)
    except BaseException as error:
        _let_go(source, context, made)
        if isinstance(error, HarnessError):
            raise SourceError(
                f"{error}\nthe image before it in {made.api.region} is retired already, so the "
                f"new one stays, as {made.id} ({made.name!r})"
            ) from error
        raise
    images.deregister(made.api, made.id)
    resources.gone(resources.IMAGE, source, made.api, context, made.token)
    _let_go(source, context, new)
    for old in retired if source.force_delete_snapshot else ():
        retention.delete_snapshots(made.api, old, context)
    return new


def _register(source: AmazonEbs, context: Context, made: Made, name: str) -> Made:
    api = made.api
    token = resources.intend(resources.IMAGE, source, api, context)
    same = {key: made.image[key] for key in _REGISTERED if made.image.get(key)}
    made_anew = images.create(
        api,
        "register_image",
        token,
        Name=name,
        Description=source.ami_description or None,
        BlockDeviceMappings=[_device(d) for d in made.image.get("BlockDeviceMappings", ())],
        TagSpecifications=images.specification(source, context, token)[:1],
        **same,
    )
    found = waits.image(source, api, context, made_anew, waits.is_available)
    new = Made(api, token, name, found)
    sharing.share(source, new)
    return new


def _device(mapping: dict[str, Any]) -> dict[str, Any]:
    """A mapping as RegisterImage takes it: a snapshot knows itself whether it is encrypted."""
    ebs = {k: v for k, v in mapping.get("Ebs", {}).items() if k not in ("Encrypted", "KmsKeyId")}
    return {**mapping, "Ebs": ebs} if ebs else mapping


def _let_go(source: AmazonEbs, context: Context, made: Made) -> None:
    """It is nobody's to remove any more; first for others, who look at the tag, then for us."""
    made.api.call("delete_tags", Resources=[made.id, *made.snapshots], Tags=[{"Key": tags.EXPIRES}])
    resources.gone(resources.IMAGE, source, made.api, context, made.token)
