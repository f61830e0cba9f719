"""Images of Amazon EC2 whose disks are EBS snapshots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from harness.options import Range
from harness.secret import MASK
from harness.sources.amazon import (
    account,
    capture,
    checks,
    connecting,
    launch,
    preflight,
    publish,
    removal,
    stopping,
)
from harness.sources.amazon.machine import Ec2Machine
from harness.sources.amazon.options import AmazonOptions
from harness.sources.base import Connection, Context, Instance, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.model import Image, Resource


@dataclass(frozen=True, kw_only=True)
class AmazonEbs(AmazonOptions, Source):
    """A machine on Amazon EC2; its image is an AMI, in as many regions as you like.

    Needs the extra ``amazon`` (boto3). Before anything is launched, the API is asked about all
    that the options name, and all that is wrong is told at once. What is launched carries tags from
    its creation on, and is gone when the build is over, whatever happens.

    No live cloud has been reached by the tests of this source: they run against moto.

    Args:
        name: the source's name in the build's; default ``amazon-ebs``.
        params: values of yours, which the build function reads as ``machine.params`` and
            ``ami_name`` may use; default none.

        ami_name: needed: 3 to 128 letters, digits and ``( ) [ ] space . / - ' @ _``; may hold
            ``{timestamp}``, ``{isotime:%Y-%m-%d}``, ``{uuid}``, ``{git_sha}`` (all of them as when
            the run started), ``{build}``, ``{source}`` and the ``params``. The name must be free
            in every region where the image goes.
        ami_description: default none.
        ami_block_device_mappings: the image's volumes, as ``launch_block_device_mappings``;
            default: those of the machine.
        ami_regions: further regions that the image is copied to, side by side.
        encrypt_boot: encrypt all volumes from the machine's launch on, and all copies. Default
            False: as the source image.
        kms_key_id: the key for that: an id, ARN or alias; default: the account's own for EBS.
        region_kms_key_ids: the keys of copies, by region.
        ami_users: accounts that may launch the image. With ``encrypt_boot`` needs a customer key
            in every region: nobody else can use the account's own.
        ami_groups: ``["all"]`` makes the image public.
        ami_org_arns, ami_ou_arns: organizations, and units of them, that may launch it.
        snapshot_users, snapshot_groups: who may make volumes of its snapshots.
        tags: of the image and of its snapshots, beside our own.
        snapshot_tags: further tags of its snapshots.
        ena_support, sriov_support: say that the image supports enhanced networking. Default: as
            the source image.
        imds_support: ``v2.0``: machines of the image answer IMDSv2 alone by default.
        deprecate_at: when the image counts as deprecated: ``"2030-01-01T00:00:00Z"``.
        deregistration_protection: ``{"enabled": True, "with_cooldown": True}``.
        force_deregister: an image of this name is retired once the new one is whole, and the new
            one takes its name. Default False: the name must be free.
        force_delete_snapshot: its snapshots go too. Default False.
        keep_last: how many images of this build to keep in each region, the new one counted: older
            ones are retired, with their snapshots, but none that an instance or a launch template
            uses. Default 0: all.
        disable_stop_instance: the build has the machine stop by itself: only wait for that.
            Default False.

    The options of `AmazonOptions` say how the machine is launched, those of `SshOptions` how it is
    reached.

    Example:
        ```python
        harness.AmazonEbs(
            region="us-west-2",
            source_ami_filter={
                "filters": {"name": "debian-12-amd64-*"},
                "owners": ["136693071363"],
                "most_recent": True,
            },
            instance_type="t3.small",
            ssh_username="admin",
            ami_name="web-{timestamp}",
        )
        ```
    """

    type: ClassVar[str] = "amazon-ebs"
    ranges: ClassVar[Mapping[str, Range]] = {**AmazonOptions.ranges, "keep_last": Range(0)}
    instead: ClassVar[Mapping[str, str]] = {
        **AmazonOptions.instead,
        "skip_create_ami": "select the build's tests alone, as in -k test_: no image is taken then",
    }

    name: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    ami_name: str = ""
    ami_description: str = ""
    ami_block_device_mappings: Sequence[Mapping[str, Any]] = ()
    ami_regions: Sequence[str] = ()
    encrypt_boot: bool = False
    kms_key_id: str = ""
    region_kms_key_ids: Mapping[str, str] = field(default_factory=dict)
    ami_users: Sequence[str] = ()
    ami_groups: Sequence[str] = ()
    ami_org_arns: Sequence[str] = ()
    ami_ou_arns: Sequence[str] = ()
    snapshot_users: Sequence[str] = ()
    snapshot_groups: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    snapshot_tags: Mapping[str, str] = field(default_factory=dict)
    ena_support: bool = False
    sriov_support: bool = False
    imds_support: str = ""
    deprecate_at: str = ""
    deregistration_protection: Mapping[str, bool] = field(default_factory=dict)
    force_deregister: bool = False
    force_delete_snapshot: bool = False
    keep_last: int = 0
    disable_stop_instance: bool = False

    def validate(self, context: Context) -> None:
        account.require_boto3()
        checks.check(self, context)
        preflight.plan(self, context)

    def options(self) -> dict[str, Any]:
        """As everywhere, but without the access key, which belongs to the person that builds."""
        shown = super().options()
        return {**shown, **({"access_key": MASK} if self.access_key else {})}

    def facts(self, context: Context) -> Mapping[str, Any]:
        return {"source_ami": preflight.plan(self, context).image["ImageId"]}

    def find_image(self, made_of: str, noted: Image | None, context: Context) -> Image | None:
        return publish.find(self, made_of, noted, context)

    def launch(self, context: Context) -> Instance:
        return launch.launch(self, context)

    def connect(self, instance: Instance, context: Context) -> Connection:
        return connecting.connect(self, _machine(instance), context)

    def console(self, instance: Instance, context: Context) -> bytes:
        return connecting.console(self, _machine(instance), context)

    def stop(self, instance: Instance, connection: Connection, context: Context) -> None:
        del connection  # EC2 switches it off
        stopping.stop(self, _machine(instance), context)

    def capture(self, instance: Instance, context: Context) -> Image:
        return capture.capture(self, _machine(instance), context)

    def publish(self, image: Image, context: Context) -> Image:
        return publish.publish(self, image, context)

    def destroy(self, instance: Instance | None, context: Context) -> None:
        del instance
        removal.remove_all(self, context)

    @classmethod
    def remove(cls, resource: Resource) -> bool:
        return removal.remove(resource)


def _machine(instance: Instance) -> Ec2Machine:
    assert isinstance(instance, Ec2Machine)
    return instance
