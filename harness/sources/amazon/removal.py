"""What a build has made, gone: whether its run still lives or not.

Everything is found by the token that it carries as a name or a tag, so that it does not matter
whether the call that made it was ever answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cancel import CancelToken
from harness.errors import SourceError
from harness.sources.amazon import images, preflight, resources, tags
from harness.sources.amazon.errors import ApiError
from harness.sources.amazon.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import Resource
    from harness.sources.amazon.account import Api
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context

PATIENCE = 600.0
"""Seconds that a security group may be in use by an instance that is on its way out."""
PAUSE = 3.0
_IN_USE = ("DependencyViolation", "InvalidGroup.InUse", "InvalidSnapshot.InUse")


def remove_all(source: AmazonEbs, context: Context) -> None:
    """Remove what is left of a build, newest first: instances before what they use.

    What cannot be removed stays in the journal, and the rest goes all the same.

    Raises:
        SourceError: something is left; it says what.
    """
    left = context.journal.outstanding(context.build)
    errors = []
    for resource in left:
        try:
            _remove(resource, _api(source, context, Place.parse(resource.id)))
        except Exception as error:  # noqa: BLE001 - one that stays must not keep the others
            errors.append(f"{resource.kind} {resource.id}: {error}")
        else:
            context.journal.gone(resource)
    if errors:
        raise SourceError("; ".join(errors))


def remove(resource: Resource) -> bool:
    """Remove what the journal of another run names, and say whether it was there."""
    return _remove(resource, Place.parse(resource.id).api(CancelToken()))


def _api(source: AmazonEbs, context: Context, place: Place) -> Api:
    """The build's own way, which may have keys that no journal has; stopping does not stop it."""
    return preflight.region_api(source, context).unstoppable().elsewhere(place.region)


def _remove(resource: Resource, api: Api) -> bool:
    kinds: dict[str, Callable[[Api, str], bool]] = {
        resources.KEY_PAIR: _remove_key_pair,
        resources.GROUP: _remove_group,
        resources.INSTANCE: _terminate,
        resources.IMAGE: _remove_image,
    }
    return kinds[resource.kind](api, Place.parse(resource.id).token)


def _remove_key_pair(api: Api, token: str) -> bool:
    named = [{"Name": "key-name", "Values": [token]}]
    found = api.list("describe_key_pairs", "KeyPairs", Filters=named)
    if found:
        api.call("delete_key_pair", KeyName=token)
    return bool(found)


def _remove_group(api: Api, token: str) -> bool:
    filters = tags.filters(token=token)
    found = api.list("describe_security_groups", "SecurityGroups", Filters=filters)
    for group in found:
        _until_free(api, "delete_security_group", GroupId=group["GroupId"])
    return bool(found)


def _terminate(api: Api, token: str) -> bool:
    """A machine that is told to go cannot be kept from it: nobody waits for that here."""
    filters = tags.filters(token=token)
    found = [
        instance["InstanceId"]
        for each in api.list("describe_instances", "Reservations", Filters=filters)
        for instance in each["Instances"]
        if instance["State"]["Name"] not in ("shutting-down", "terminated")
    ]
    if found:
        api.call("terminate_instances", InstanceIds=found)
    return bool(found)


def _remove_image(api: Api, token: str) -> bool:
    """The image, and the snapshots that were made for it, even where there is no image."""
    found = images.tagged(api, token)
    for image in found:
        images.deregister(api, image["ImageId"])
    snapshots = api.list(
        "describe_snapshots",
        "Snapshots",
        OwnerIds=["self"],
        Filters=tags.filters(token=token),
    )
    ids = {s["SnapshotId"] for s in snapshots} | {s for i in found for s in images.snapshots(i)}
    for snapshot in sorted(ids):
        _until_free(api, "delete_snapshot", SnapshotId=snapshot)
    return bool(found or ids)


def _until_free(api: Api, operation: str, **parameters: Any) -> None:
    """Remove what something may still use that is on its way out."""
    waited = 0.0
    while True:
        try:
            api.call(operation, **parameters)
        except ApiError as error:
            if error.is_not_found:
                return
            if error.code not in _IN_USE or waited > PATIENCE:
                raise
        else:
            return
        api.cancel.sleep(PAUSE)
        waited += PAUSE
