"""Wrong options of an `AmazonEbs`, refused without asking anybody."""

from __future__ import annotations

import difflib
import ipaddress
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness import naming
from harness.errors import ConfigurationError
from harness.naming import NameRule
from harness.sources.amazon import devices, tags, user_data
from harness.sources.amazon.options import SSH_INTERFACES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context

AMI_NAME = NameRule(
    re.compile(r"[^A-Za-z0-9()\[\] ./\-'@_]"),
    "letters, digits and ( ) [ ] space . / - ' @ _",
    128,
    3,
)
_KEY_TYPES = ("ed25519", "rsa")
_ROLE = ("role_arn", "session_name", "external_id", "duration_seconds", "policy")
_POLLING = ("delay_seconds", "max_attempts")
_METADATA = (
    "http_endpoint",
    "http_tokens",
    "http_put_response_hop_limit",
    "instance_metadata_tags",
    "http_protocol_ipv6",
)
_PLACEMENT = ("group_name", "tenancy", "host_id", "host_resource_group_arn", "partition_number")
_PROTECTION = ("enabled", "with_cooldown")
_ACCOUNT = re.compile(r"\d{12}")


def check(source: AmazonEbs, context: Context) -> None:
    """Refuse wrong options.

    Raises:
        ConfigurationError: an option's value is wrong, or does not go with another's.
    """
    _access(source)
    _origin(source)
    _launch(source, context)
    _network(source)
    _image(source, context)


def _access(source: AmazonEbs) -> None:
    if bool(source.access_key) != bool(source.secret_key):
        raise ConfigurationError("access_key and secret_key go together: give both, or none")
    if source.token and not source.access_key:
        raise ConfigurationError("token is of no use without access_key and secret_key")
    if source.profile and source.access_key:
        raise ConfigurationError("profile and access_key are both given: leave one out")
    _known("assume_role", source.assume_role, _ROLE)
    if source.assume_role and not source.assume_role.get("role_arn"):
        raise ConfigurationError("assume_role has no role_arn: name the role")
    _known("aws_polling", source.aws_polling, _POLLING)
    for name, value in source.aws_polling.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            raise ConfigurationError(f"aws_polling has {name}={value!r}: write a number above 0")


def _origin(source: AmazonEbs) -> None:
    if bool(source.source_ami) == bool(source.source_ami_filter):
        both = "both given: leave one out" if source.source_ami else "both missing: give one"
        raise ConfigurationError(f"source_ami and source_ami_filter are {both}")
    if source.source_ami and not re.fullmatch(r"ami-[0-9a-f]{8,17}", source.source_ami):
        raise ConfigurationError(
            f"source_ami={source.source_ami!r} is no image's id, which reads "
            "ami-0123456789abcdef0; source_ami_filter finds an image by its name"
        )
    if source.source_ami_filter:
        _known("source_ami_filter", source.source_ami_filter, ("filters", "owners", "most_recent"))
        if not source.source_ami_filter.get("owners"):
            raise ConfigurationError(
                'source_ami_filter has no owners: name them, as in "owners": ["136693071363"], '
                '["self"] or ["amazon"]; anybody may give an image any name'
            )
    if source.spot_instance_types and source.instance_type:
        raise ConfigurationError(
            "instance_type and spot_instance_types are both given: leave one out"
        )
    if not source.spot_instance_types and not source.instance_type:
        raise ConfigurationError('instance_type is missing: name one, as in "t3.small"')


def _launch(source: AmazonEbs, context: Context) -> None:
    source.validate_ssh(context)
    if source.temporary_key_pair_type not in _KEY_TYPES:
        raise ConfigurationError(
            f"temporary_key_pair_type={source.temporary_key_pair_type!r}: EC2 takes "
            f"{' and '.join(_KEY_TYPES)}"
        )
    devices.check("launch_block_device_mappings", source.launch_block_device_mappings)
    devices.check("ami_block_device_mappings", source.ami_block_device_mappings)
    user_data.theirs(source, context)
    _known("metadata_options", source.metadata_options, _METADATA)
    _known("placement", source.placement, _PLACEMENT)
    _one_of("shutdown_behavior", source.shutdown_behavior, ("stop", "terminate"))
    if source.spot_price and source.spot_price != "auto":
        try:
            fine = float(source.spot_price) > 0
        except ValueError:
            fine = False
        if not fine:
            raise ConfigurationError(
                f'spot_price={source.spot_price!r}: write dollars an hour, as in "0.02", or "auto"'
            )
    for option in ("ena_support", "sriov_support", "disable_stop_instance"):
        if source.is_spot and getattr(source, option):
            raise ConfigurationError(
                f"{option}=True: a spot instance cannot be stopped, as that needs; leave one out"
            )
    if source.spot_tags and not source.is_spot:
        raise ConfigurationError("spot_tags is of no use without spot_price or spot_instance_types")


def _network(source: AmazonEbs) -> None:
    if source.ssh_interface == "session_manager":
        raise ConfigurationError(
            'ssh_interface="session_manager" is not there yet: choose one of '
            f"{', '.join(SSH_INTERFACES)}, or go through a bastion (ssh_bastion_host)"
        )
    if source.ssh_interface:
        _one_of("ssh_interface", source.ssh_interface, SSH_INTERFACES)
    for option in ("vpc", "subnet"):
        if getattr(source, f"{option}_id") and getattr(source, f"{option}_filter"):
            raise ConfigurationError(
                f"{option}_id and {option}_filter are both given: leave one out"
            )
    for option in ("vpc_filter", "subnet_filter", "security_group_filter"):
        _known(option, getattr(source, option), ("filters", "most_free", "random"))
    for cidr in source.temporary_security_group_source_cidrs:
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            raise ConfigurationError(
                f"temporary_security_group_source_cidrs has {cidr!r}: {error}"
            ) from error
    _check_way(source)


def _check_way(source: AmazonEbs) -> None:
    """A machine behind a bastion sees the bastion, whose address nobody here knows."""
    given = source.has_own_groups or source.temporary_security_group_source_cidrs
    for option in ("ssh_bastion_host", "ssh_proxy_host"):
        if getattr(source, option) and not given:
            raise ConfigurationError(
                f"{option}={getattr(source, option)!r}: say which addresses the machine sees, with "
                "temporary_security_group_source_cidrs, or give a security_group_id"
            )


def _image(source: AmazonEbs, context: Context) -> None:
    if not source.ami_name:
        raise ConfigurationError('ami_name is missing: name the image, as in "web-{timestamp}"')
    naming.check("ami_name", source.ami_name, context, source.params, AMI_NAME)
    for option in ("tags", "run_tags", "run_volume_tags", "snapshot_tags", "spot_tags"):
        _tags(option, getattr(source, option))
    _receivers(source)
    if source.imds_support:
        _one_of("imds_support", source.imds_support, ("v2.0",))
    if source.deprecate_at:
        _time("deprecate_at", source.deprecate_at)
    _known("deregistration_protection", source.deregistration_protection, _PROTECTION)
    if source.force_delete_snapshot and not source.force_deregister:
        raise ConfigurationError("force_delete_snapshot is of no use without force_deregister")
    _encryption(source)


def _receivers(source: AmazonEbs) -> None:
    for option in ("ami_users", "snapshot_users"):
        for user in getattr(source, option):
            if not _ACCOUNT.fullmatch(user):
                raise ConfigurationError(f"{option} has {user!r}: an account has twelve digits")
    for option in ("ami_groups", "snapshot_groups"):
        for group in getattr(source, option):
            _one_of(option, group, ("all",))


def _encryption(source: AmazonEbs) -> None:
    for option in ("kms_key_id", "region_kms_key_ids"):
        if getattr(source, option) and not source.encrypt_boot:
            raise ConfigurationError(f"{option} is of no use without encrypt_boot=True")
    for region in source.region_kms_key_ids:
        if region not in source.ami_regions:
            raise ConfigurationError(
                f"region_kms_key_ids has {region!r}, which is not among ami_regions="
                f"{list(source.ami_regions)!r}; the build region's key is kms_key_id"
            )
    shared = ("ami_users", "ami_org_arns", "ami_ou_arns", "snapshot_users")
    sharing = next((option for option in shared if getattr(source, option)), "")
    if not source.encrypt_boot:
        return
    if source.ami_groups or source.snapshot_groups:
        raise ConfigurationError("an encrypted image cannot be public: leave out ami_groups")
    lacking = [r for r in source.ami_regions if not source.region_kms_key_ids.get(r)]
    if sharing and (lacking or not source.kms_key_id):
        where = ", ".join([*([] if source.kms_key_id else ["the build region"]), *lacking])
        raise ConfigurationError(
            f"{sharing} with encrypt_boot=True needs a customer key in every region (kms_key_id, "
            f"region_kms_key_ids), and there is none for {where}: nobody else can use the "
            "account's own key"
        )


def _tags(option: str, given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{option} has {key!r}: {value!r}; a tag is a text")
        if key.startswith(("aws:", tags.PREFIX)):
            raise ConfigurationError(f"{option} has {key!r}: tags of that beginning are not yours")
        if not 0 < len(key) <= 128 or len(value) > 256:  # noqa: PLR2004 - said in the message
            raise ConfigurationError(
                f"{option} has {key!r}: a key has 1 to 128 characters, a value at most 256"
            )
    if len(given) > tags.MOST - 6:
        raise ConfigurationError(f"{option} has {len(given)} tags: there may be {tags.MOST - 6}")


def _time(option: str, value: str) -> None:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ConfigurationError(
            f'{option}={value!r}: write a time with its zone, as in "2030-01-01T00:00:00Z"'
        )


def _known(option: str, given: Mapping[str, Any], names: Collection[str]) -> None:
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            way = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise ConfigurationError(f"{option} has {name!r}: {way}")


def _one_of(option: str, value: object, choices: Collection[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{option}={value!r}: choose one of {', '.join(choices)}")
