"""Block device mappings, from Packer's names to the API's."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EBS = {
    "volume_size": "VolumeSize",
    "volume_type": "VolumeType",
    "iops": "Iops",
    "throughput": "Throughput",
    "snapshot_id": "SnapshotId",
    "encrypted": "Encrypted",
    "kms_key_id": "KmsKeyId",
    "delete_on_termination": "DeleteOnTermination",
}
_OTHERS = ("device_name", "no_device", "virtual_name")
_TYPES = ("gp3", "gp2", "io1", "io2", "st1", "sc1", "standard")


def check(option: str, mappings: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what is no mapping, with `ConfigurationError`."""
    for mapping in mappings:
        for name in mapping:
            if name not in (*_EBS, *_OTHERS):
                near = difflib.get_close_matches(name, [*_EBS, *_OTHERS], n=1)
                way = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_known())}"
                raise ConfigurationError(f"{option} has {name!r}: {way}")
        if not mapping.get("device_name"):
            raise ConfigurationError(
                f'{option} has {dict(mapping)!r}: name its device, "device_name": "/dev/sda1"'
            )
        kind = mapping.get("volume_type", _TYPES[0])
        if kind not in _TYPES:
            raise ConfigurationError(
                f"{option} has volume_type {kind!r}: choose one of {', '.join(_TYPES)}"
            )
        if mapping.get("kms_key_id") and not mapping.get("encrypted"):
            raise ConfigurationError(f'{option} has kms_key_id without "encrypted": True')


def _known() -> list[str]:
    return sorted((*_EBS, *_OTHERS))


def as_api(mapping: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
    """One mapping as the API wants it; ``defaults`` are the API's names of an EBS volume's."""
    made: dict[str, Any] = {"DeviceName": mapping["device_name"]}
    if mapping.get("no_device"):
        return {**made, "NoDevice": ""}
    if mapping.get("virtual_name"):
        return {**made, "VirtualName": mapping["virtual_name"]}
    given = {_EBS[name]: value for name, value in mapping.items() if name in _EBS}
    return {**made, "Ebs": {**defaults, **given}}


def launched(
    image: Mapping[str, Any],
    mappings: Sequence[Mapping[str, Any]],
    *,
    encrypt: bool,
    key: str,
) -> list[dict[str, Any]]:
    """The volumes of a machine: those of its image and the author's, all of them to go with it.

    Args:
        image: as DescribeImages tells of it.
        mappings: the author's.
        encrypt: whether all are to be encrypted.
        key: with which; empty: the account's own.
    """
    always: dict[str, Any] = {"DeleteOnTermination": True}
    if encrypt:
        always |= {"Encrypted": True, **({"KmsKeyId": key} if key else {})}
    own = {mapping["device_name"]: as_api(mapping, **always) for mapping in mappings}
    for device in image.get("BlockDeviceMappings", ()):
        name, size = device["DeviceName"], device.get("Ebs", {}).get("VolumeSize")
        if size and name not in own:
            own[name] = {"DeviceName": name, "Ebs": {**always, "VolumeSize": size}}
    return list(own.values())
