"""What the API tells before anything is made: all that is wrong, at once."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import naming
from harness.errors import ConfigurationError, HarnessError
from harness.events import Notice
from harness.given import suggestion
from harness.sources.amazon import images, network, origin, parameters
from harness.sources.amazon.account import Account, Api
from harness.sources.amazon.checks import AMI_NAME
from harness.sources.amazon.errors import ApiError
from harness.sources.amazon.machine import Keys
from harness.sources.amazon.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.amazon.options import AmazonOptions
    from harness.sources.base import Context


@dataclass(frozen=True)
class Plan:
    """What was found out, and launching needs.

    Args:
        api: of the region where the machine runs.
        image: the source image, as DescribeImages tells of it.
        network: where the machine goes.
        name: the image's.
    """

    api: Api
    image: Mapping[str, Any]
    network: network.Network
    name: str


def plan(source: AmazonEbs, context: Context) -> Plan:
    """What the API has told; it is asked once in each build.

    Raises:
        ConfigurationError: all that is wrong, a line each.
        SourceError: the API gave no answer.
    """
    found: Plan | None = context.notes.get("amazon plan")
    if found is None:
        found = context.notes["amazon plan"] = _asked(source, context)
    return found


def region_api(source: AmazonOptions, context: Context) -> Api:
    """The API of the region where the machine runs.

    Raises:
        ConfigurationError: no region is named anywhere.
    """
    access = source.access
    account = context.shared.get(("amazon", access), lambda: Account(access))
    region = source.region or account.region
    if not region:
        raise ConfigurationError(
            'region is missing: give it, as in region="us-west-2", or set AWS_REGION'
        )
    return Api(account, region, context.cancel, source.max_retries)


def _asked(source: AmazonEbs, context: Context) -> Plan:
    api = region_api(source, context)
    _refuse_regions(source, api)
    name = naming.render("ami_name", source.ami_name, context, source.params, AMI_NAME)
    _claim(source, api, name, context)
    image: Callable[[], Any] = functools.partial(origin.find, source, api)
    where: Callable[[], Any] = functools.partial(network.find, source, api)
    work = {"image": image, "network": where, **_checks(source, api, name, context)}
    done = together(work)
    problems = [_told(error) for future in done.values() if (error := future.exception())]
    if problems:
        raise ConfigurationError("\n".join(dict.fromkeys(problems)))
    found = Plan(api, done["image"].result(), done["network"].result(), name)
    _rehearse(source, found, context)
    return found


def _rehearse(source: AmazonEbs, found: Plan, context: Context) -> None:
    """Ask whether the instance could be launched: EC2 looks at rights and parameters alone."""
    keys = Keys.generate(source.temporary_key())
    where = parameters.interface(source, next(iter(found.network.subnets), ""), ())
    try:
        found.api.call(
            "run_instances",
            DryRun=True,
            InstanceType=source.instance_types[0],
            TagSpecifications=parameters.tagged(source, context, "none"),
            **parameters.common(source, found.image, context, keys),
            **where,
        )
    except ApiError as error:
        passes = error.is_transient or error.is_lack_of_capacity  # the launch itself will tell
        if error.code != "DryRunOperation" and not passes:
            raise ConfigurationError(f"the machine could not be launched: {error}") from error


def _claim(source: AmazonEbs, api: Api, name: str, context: Context) -> None:
    """Refuse a name that another build of this run will give its image."""
    for region in (api.region, *source.ami_regions):
        key = ("amazon name", source.access, region, name)
        first = context.shared.get(key, lambda: context.build)
        if first != context.build:
            raise ConfigurationError(
                f"ami_name={source.ami_name!r}: the build {first} makes {name!r} in {region} too; "
                "put {build} or {source} into the name"
            )


def _told(error: BaseException) -> str:
    """What is wrong, in words; a mistake of ours is none of the author's."""
    if not isinstance(error, HarnessError):
        raise error
    return str(error)


def _checks(
    source: AmazonEbs, api: Api, name: str, context: Context
) -> dict[str, Callable[[], None]]:
    regions = [api.region, *source.ami_regions]
    keys = {api.region: source.kms_key_id, **source.region_kms_key_ids}
    checks: dict[str, Callable[[], None]] = {}
    for region in regions:
        there = api.elsewhere(region)
        if not source.force_deregister:
            checks[f"name in {region}"] = functools.partial(_refuse_taken_name, there, name)
        if key := keys.get(region):
            checks[f"key in {region}"] = functools.partial(_refuse_key, there, key, context)
    if source.iam_instance_profile:
        checks["profile"] = functools.partial(_refuse_profile, source, api, context)
    return checks


def _refuse_regions(source: AmazonEbs, api: Api) -> None:
    """The first call of all: it tells of credentials that are none, and of regions."""
    try:
        answer = api.call("describe_regions", AllRegions=True)
    except ApiError as error:
        known = api.account.session.get_available_regions("ec2")
        if not error.code and api.region not in known and (near := suggestion(api.region, known)):
            raise ConfigurationError(f"region={api.region!r}: {near} ({error})") from error
        raise
    status = {r["RegionName"]: r.get("OptInStatus", "") for r in answer["Regions"]}
    if api.region in source.ami_regions:
        raise ConfigurationError(
            f"ami_regions={list(source.ami_regions)!r} has {api.region!r}, where the machine runs: "
            "the image is there anyway"
        )
    for region in source.ami_regions:
        if region not in status:
            near = suggestion(region, status) or f"there are {', '.join(sorted(status))}"
            raise ConfigurationError(f"ami_regions has {region!r}, which is no region: {near}")
        if status[region] == "not-opted-in":
            raise ConfigurationError(
                f"ami_regions has {region!r}, which this account has not opted in to"
            )


def _refuse_taken_name(api: Api, name: str) -> None:
    for image in images.named(api, name):
        raise ConfigurationError(
            f"ami_name={name!r}: {image['ImageId']} in {api.region} has that name; put "
            "{timestamp} into it, or give force_deregister=True to have it replaced"
        )


def _refuse_key(api: Api, key: str, context: Context) -> None:
    try:
        found = api.call("describe_key", service="kms", KeyId=key)["KeyMetadata"]
    except ApiError as error:
        if error.is_lack_of_permission:
            _tell(context, f"the key {key} in {api.region} cannot be checked: {error}")
            return
        raise ConfigurationError(f"no such key in {api.region}: {key!r} ({error})") from error
    if not found.get("Enabled"):
        raise ConfigurationError(
            f"the key {key!r} in {api.region} cannot be used: it is {found.get('KeyState')}"
        )


def _refuse_profile(source: AmazonEbs, api: Api, context: Context) -> None:
    name = source.iam_instance_profile
    try:
        api.call("get_instance_profile", service="iam", InstanceProfileName=name)
    except ApiError as error:
        if error.is_lack_of_permission:
            _tell(context, f"iam_instance_profile={name!r} cannot be checked: {error}")
            return
        if error.code != "NoSuchEntity":
            raise
        raise ConfigurationError(
            f"iam_instance_profile={name!r}: the account has none of this name"
        ) from error


def _tell(context: Context, text: str) -> None:
    context.events.emit(Notice(context.build, text))
