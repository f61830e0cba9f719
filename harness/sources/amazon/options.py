"""The options that both kinds of Amazon's images have; the names are Packer's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from harness.options import Range
from harness.sources.amazon.account import Access
from harness.sources.ssh_options import SshOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.secret import Secret

SSH_INTERFACES = ("public_ip", "private_ip", "public_dns", "private_dns", "ipv6")


@dataclass(frozen=True, kw_only=True)
class AmazonOptions(SshOptions):
    """How a machine is launched on Amazon EC2. All times are in seconds.

    Credentials are found by boto3: options here, environment, ~/.aws, single sign-on, the role of
    the instance that builds. Endpoints are those of its own configuration (``AWS_ENDPOINT_URL``).

    Args:
        access_key: an access key's id; default: boto3's own chain.
        secret_key: its secret.
        token: of temporary credentials.
        profile: a profile of ~/.aws/config, its roles and ``mfa_serial`` included.
        assume_role: a role to take: ``{"role_arn": ..., "session_name": ..., "external_id": ...,
            "duration_seconds": ..., "policy": ...}``, of which ``role_arn`` is needed.
        mfa_code: what the profile's device shows.
        max_retries: how often a call is made again that was throttled, got no answer or found the
            server faulty; default 10. A call that is not permitted is never made again.
        region: default: boto3's own.
        aws_polling: ``{"delay_seconds": ..., "max_attempts": ...}``: a fixed time between two
            questions, and how many to ask in each wait. Default: a second or two at first, six at
            last, and the timeouts below. Builds of one account and region ask together.
        state_timeout: for the instance to run, and to stop; default 600.
        image_timeout: for the image, and each copy, to be there; default 7200.
        build_timeout: for all of it; default 14400 (4 hours). What is made carries the time at
            which it may be removed by anybody as a tag, and no image is taken after that.

        source_ami: the image to start from, ``ami-...``.
        source_ami_filter: or how to find it: ``{"filters": {"name": "debian-12-amd64-*"},
            "owners": ["136693071363"], "most_recent": True}``. The filters are DescribeImages';
            ``owners`` is needed, and exactly one image must fit, or ``most_recent`` be given.
        instance_type: needed, unless there are ``spot_instance_types``.
        spot_price: the most that an hour may cost, as in ``"0.02"``, or ``auto`` for the price
            on demand: the machine is a spot instance. It is not stopped for its image, but
            rebooted by EC2. Default: none.
        spot_instance_types: types to try in this order where there is no capacity.
        spot_tags: of the spot request.
        launch_block_device_mappings: the machine's volumes, each a dict with ``device_name`` and
            some of ``volume_size`` (GiB), ``volume_type``, ``iops``, ``throughput``,
            ``snapshot_id``, ``encrypted``, ``kms_key_id``, ``delete_on_termination`` (default
            True), ``no_device``, ``virtual_name``. Volumes that the image brings go with the
            machine, whatever it says.
        user_data: for cloud-init: a cloud-config, a script, or whatever else it reads. What lets
            us in is added.
        user_data_file: the same, from a file.
        plant_host_key: whether the image runs cloud-init, which puts our key and the host key
            that is expected in place. Default True. False: ``user_data`` goes as it is, EC2's key
            pair lets us in, and the host keys are read from what the console prints.
        metadata_options: ``http_endpoint``, ``http_tokens``, ``http_put_response_hop_limit``,
            ``instance_metadata_tags``; default: IMDSv2 only.
        placement: ``group_name``, ``tenancy``, ``host_id``, ``host_resource_group_arn``,
            ``partition_number``.
        availability_zone: where no subnet is named.
        shutdown_behavior: ``stop`` (default) or ``terminate``, when the machine switches itself
            off.
        ebs_optimized: default False.
        iam_instance_profile: the name of an instance profile.
        run_tags: further tags of the instance, key pair and security group.
        run_volume_tags: further tags of its volumes.

        vpc_id, vpc_filter: the network; default: the subnet's, or the default one. A filter is
            ``{"filters": {...}}`` with the filters of DescribeVpcs.
        subnet_id: default: one of the default network's.
        subnet_filter: ``{"filters": {...}}``; of several, those with most free addresses are
            tried first, and the next where there is no capacity.
        security_group_id, security_group_ids: groups of yours; default: a temporary one, open for
            SSH to the caller's address alone.
        security_group_filter: ``{"filters": {...}}``: all that fit.
        associate_public_ip_address: default: as the subnet says.
        ssh_interface: ``public_ip``, ``private_ip``, ``public_dns``, ``private_dns`` or ``ipv6``;
            default: the public address if there is one, else the private one.
        temporary_security_group_source_cidrs: to whom the temporary group is open, as in
            ``["10.0.0.0/8"]``. Default: to the address that this computer has: towards the
            network with a private interface, else in the eyes of ``checkip_url``.
        temporary_security_group_source_public_ip: the address that ``checkip_url`` tells, beside
            ``temporary_security_group_source_cidrs``. Default False.
        checkip_url: answers with the caller's address; default
            ``https://checkip.amazonaws.com``.
    """

    ranges: ClassVar[Mapping[str, Range]] = {
        **SshOptions.ranges,
        "max_retries": Range(0, 100),
        "state_timeout": Range(1, unit="seconds"),
        "image_timeout": Range(1, unit="seconds"),
        "build_timeout": Range(1, unit="seconds"),
    }
    instead: ClassVar[Mapping[str, str]] = {
        **SshOptions.instead,
        "ssh_keypair_name": "name the key's file with ssh_private_key_file; its public half is "
        "imported for the machine",
        "spot_allocation_strategy": "spot_instance_types are tried in their order",
        "custom_endpoint_ec2": "set AWS_ENDPOINT_URL_EC2, or endpoint_url in ~/.aws/config",
        "shared_credentials_file": "set AWS_SHARED_CREDENTIALS_FILE",
    }

    type: ClassVar[str]
    """The source's, for the journal."""

    region: str = ""
    access_key: str = ""
    secret_key: str | Secret = field(default="", repr=False)
    token: str | Secret = field(default="", repr=False)
    profile: str = ""
    assume_role: Mapping[str, Any] = field(default_factory=dict)
    mfa_code: str | Secret = field(default="", repr=False)
    max_retries: int = 10
    aws_polling: Mapping[str, Any] = field(default_factory=dict)
    state_timeout: float = 600.0
    image_timeout: float = 7200.0
    build_timeout: float = 14400.0
    source_ami: str = ""
    source_ami_filter: Mapping[str, Any] = field(default_factory=dict)
    instance_type: str = ""
    spot_price: str = ""
    spot_instance_types: Sequence[str] = ()
    spot_tags: Mapping[str, str] = field(default_factory=dict)
    launch_block_device_mappings: Sequence[Mapping[str, Any]] = ()
    user_data: str | Secret = field(default="", repr=False)
    user_data_file: str | Path = ""
    plant_host_key: bool = True
    metadata_options: Mapping[str, Any] = field(default_factory=dict)
    placement: Mapping[str, Any] = field(default_factory=dict)
    availability_zone: str = ""
    shutdown_behavior: str = "stop"
    ebs_optimized: bool = False
    iam_instance_profile: str = ""
    run_tags: Mapping[str, str] = field(default_factory=dict)
    run_volume_tags: Mapping[str, str] = field(default_factory=dict)
    vpc_id: str = ""
    vpc_filter: Mapping[str, Any] = field(default_factory=dict)
    subnet_id: str = ""
    subnet_filter: Mapping[str, Any] = field(default_factory=dict)
    security_group_id: str = ""
    security_group_ids: Sequence[str] = ()
    security_group_filter: Mapping[str, Any] = field(default_factory=dict)
    associate_public_ip_address: bool | None = None
    ssh_interface: str = ""
    temporary_security_group_source_cidrs: Sequence[str] = ()
    temporary_security_group_source_public_ip: bool = False
    checkip_url: str = "https://checkip.amazonaws.com"

    @property
    def access(self) -> Access:
        """How its account is reached."""
        return Access(
            self.access_key,
            self.secret_key,
            self.token,
            self.profile,
            tuple(sorted(self.assume_role.items())),
            self.mfa_code,
            self.max_retries,
        )

    @property
    def instance_types(self) -> tuple[str, ...]:
        """The types to try, in their order."""
        return tuple(self.spot_instance_types) or (self.instance_type,)

    @property
    def is_spot(self) -> bool:
        return bool(self.spot_price or self.spot_instance_types)

    @property
    def has_own_groups(self) -> bool:
        """Whether security groups of the author's guard the machine."""
        return bool(self.security_group_id or self.security_group_ids or self.security_group_filter)
