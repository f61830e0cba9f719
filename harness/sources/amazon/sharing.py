"""Who may use an image, and for how long."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.amazon.images import Made


def share(source: AmazonEbs, made: Made) -> None:
    """Let others use the image and its snapshots, as the options say."""
    allowed = [
        *({"UserId": user} for user in source.ami_users),
        *({"Group": group} for group in source.ami_groups),
        *({"OrganizationArn": arn} for arn in source.ami_org_arns),
        *({"OrganizationalUnitArn": arn} for arn in source.ami_ou_arns),
    ]
    if source.imds_support:
        made.api.call(
            "modify_image_attribute", ImageId=made.id, ImdsSupport={"Value": source.imds_support}
        )
    _share_snapshots(source, made)
    if allowed:
        made.api.call("modify_image_attribute", ImageId=made.id, LaunchPermission={"Add": allowed})


def deprecate(source: AmazonEbs, made: Made) -> None:
    """Say when it is to be used no more."""
    if source.deprecate_at:
        when = datetime.fromisoformat(source.deprecate_at)
        made.api.call("enable_image_deprecation", ImageId=made.id, DeprecateAt=when)


def protect(source: AmazonEbs, made: Made) -> None:
    """Let nobody remove it by mistake; the run could not either, so this comes last."""
    if source.deregistration_protection.get("enabled"):
        made.api.call(
            "enable_image_deregistration_protection",
            ImageId=made.id,
            WithCooldown=bool(source.deregistration_protection.get("with_cooldown")),
        )


def _share_snapshots(source: AmazonEbs, made: Made) -> None:
    if not source.snapshot_users and not source.snapshot_groups:
        return
    for snapshot in made.snapshots:
        made.api.call(
            "modify_snapshot_attribute",
            SnapshotId=snapshot,
            Attribute="createVolumePermission",
            OperationType="add",
            UserIds=list(source.snapshot_users) or None,
            GroupNames=list(source.snapshot_groups) or None,
        )
