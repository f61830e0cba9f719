"""The image that a machine starts from."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigurationError
from harness.sources.amazon.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.sources.amazon.account import Api
    from harness.sources.amazon.options import AmazonOptions

_SHOWN = 5
"""Images that a message lists."""


def as_filters(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Filters as the API wants them, from ``{"name": "debian-*", "state": ["available"]}``."""
    return [
        {"Name": name, "Values": list(map(str, value)) if _is_list(value) else [str(value)]}
        for name, value in given.items()
    ]


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def find(source: AmazonOptions, api: Api) -> dict[str, Any]:
    """The source image, as DescribeImages tells of it.

    Raises:
        ConfigurationError: there is none, there are several, or no machine of ours can run it.
    """
    image = _by_id(source, api) if source.source_ami else _by_filter(source, api)
    _refuse_other_kinds(image)
    _refuse_architecture(source, api, image)
    return image


def _by_id(source: AmazonOptions, api: Api) -> dict[str, Any]:
    try:
        found = api.call("describe_images", ImageIds=[source.source_ami])["Images"]
    except ApiError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        found = []
    if found:
        image: dict[str, Any] = found[0]
        return image
    raise ConfigurationError(
        f"source_ami={source.source_ami!r}: no such image in {api.region}, or none that this "
        "account may use; images have other ids in each region"
    )


def _by_filter(source: AmazonOptions, api: Api) -> dict[str, Any]:
    given = source.source_ami_filter
    filters = dict(given.get("filters", {}))
    owners = [*([given["owners"]] if isinstance(given["owners"], str) else given["owners"])]
    wanted = as_filters({"state": "available", **filters})
    found = api.list("describe_images", "Images", Owners=owners, Filters=wanted)
    found.sort(key=lambda image: image.get("CreationDate", ""), reverse=True)
    if len(found) == 1 or (found and given.get("most_recent")):
        newest: dict[str, Any] = found[0]
        return newest
    what = f"source_ami_filter: {len(found)} images in {api.region} fit {filters!r} of {owners!r}"
    if found:
        raise ConfigurationError(
            f'{what}: narrow it, or give "most_recent": True; the newest are {_list(found)}'
        )
    raise ConfigurationError(f"{what}{_nearest(api, filters, owners)}")


def _nearest(api: Api, filters: Mapping[str, Any], owners: Sequence[str]) -> str:
    """What these owners have that comes nearest."""
    others = api.list("describe_images", "Images", Owners=owners)
    if not others:
        return "; these owners have no image there: are they the right ones?"
    by_name = {image["Name"]: image for image in others if image.get("Name")}
    name = str(filters.get("name", "")).replace("*", "")
    near = difflib.get_close_matches(name, by_name, n=_SHOWN, cutoff=0.3) if name else []
    newest = sorted(others, key=lambda image: image.get("CreationDate", ""), reverse=True)
    return f"; the nearest are {_list([by_name[n] for n in near] or newest)}"


def _list(images: Sequence[Mapping[str, Any]]) -> str:
    shown = ", ".join(f"{image['ImageId']} ({image.get('Name')})" for image in images[:_SHOWN])
    return shown + (f" and {len(images) - _SHOWN} others" if len(images) > _SHOWN else "")


def _refuse_other_kinds(image: Mapping[str, Any]) -> None:
    if image.get("State", "available") != "available":
        raise ConfigurationError(f"{image['ImageId']} is {image['State']}: choose another image")
    if image.get("RootDeviceType") == "instance-store":
        raise ConfigurationError(
            f"{image['ImageId']} has its root on an instance store: start from an image on EBS"
        )
    if image.get("Platform") == "windows":
        raise ConfigurationError(f"{image['ImageId']} is Windows, which has no SSH to begin with")


def _refuse_architecture(source: AmazonOptions, api: Api, image: Mapping[str, Any]) -> None:
    types = list(source.instance_types)
    try:
        found = api.list("describe_instance_types", "InstanceTypes", InstanceTypes=types)
    except ApiError as error:
        if not error.code.startswith("InvalidInstanceType"):
            raise
        raise ConfigurationError(
            f"{_option(source)}: there is no such type in {api.region} ({error})"
        ) from error
    for each in found:
        runs = each.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
        if runs and image.get("Architecture") not in runs:
            raise ConfigurationError(
                f"{_option(source)}: {each['InstanceType']} runs {', '.join(runs)}, and "
                f"{image['ImageId']} ({image.get('Name')}) is for {image.get('Architecture')}"
            )


def _option(source: AmazonOptions) -> str:
    if source.spot_instance_types:
        return f"spot_instance_types={list(source.spot_instance_types)!r}"
    return f"instance_type={source.instance_type!r}"
