"""From options to an image, against moto."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ConfigurationError, SourceError
from harness.events import Notice
from harness.sources.amazon import tags
from tests.amazon import faults
from tests.amazon.build import build
from tests.amazon.double import ACCOUNT, COPIES, HOME
from tests.amazon.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.events import Event
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context
    from tests.amazon.double import Double

    Make = Callable[..., AmazonEbs]


def gained(double: Double, before: dict[str, list[str]]) -> dict[str, set[str]]:
    """What there is now and was not before, and what has gone since."""
    after = double.inventory()
    changed = {kind: set(after[kind]) ^ set(before[kind]) for kind in after}
    return {kind: ids for kind, ids in changed.items() if ids}


def test_an_image_and_nothing_else_is_left(double: Double, ebs: Make, context: Context) -> None:
    before = double.inventory()
    source = ebs(tags={"team": "web"}, snapshot_tags={"tier": "cold"})
    image = build(source, context, log_in=True)
    snapshots = image.properties["snapshots"][HOME]
    assert gained(double, before) == {
        f"{HOME} images": {image.id},
        f"{HOME} snapshots": set(snapshots),
    }
    assert not context.journal.outstanding()
    for thing in (double.image(image.id), _snapshot(double, snapshots[0])):
        found = tags.of(thing)
        assert (found["team"], found[tags.BUILD], found[tags.RUN]) == ("web", "web.qemu", "run")
        assert tags.EXPIRES not in found
    assert tags.of(_snapshot(double, snapshots[0]))["tier"] == "cold"


def _snapshot(double: Double, id: str) -> dict[str, Any]:
    found: dict[str, Any] = double.client().describe_snapshots(SnapshotIds=[id])["Snapshots"][0]
    return found


def test_all_that_is_launched_says_whose_it_is_and_until_when(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    source = ebs(run_tags={"team": "web"}, run_volume_tags={"tier": "scratch"}, build_timeout=60)
    source.launch(context)
    client = double.client()
    instance = client.describe_instances()["Reservations"][0]["Instances"][0]
    (group,) = [g for g in client.describe_security_groups()["SecurityGroups"] if g.get("Tags")]
    (key,) = client.describe_key_pairs()["KeyPairs"]
    for thing in (instance, group, key):
        found = tags.of(thing)
        assert found["team"] == "web"
        assert found[tags.PROJECT] == context.root.name
        expires = datetime.fromisoformat(found[tags.EXPIRES]) - datetime.now(UTC)
        assert 0 < expires.total_seconds() <= 60
    volumes = client.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    )["Volumes"]
    assert [tags.of(volume)["tier"] for volume in volumes] == ["scratch"]
    assert key["KeyType"] == "ed25519"
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    source.destroy(None, context)
    assert not client.describe_key_pairs()["KeyPairs"]


def test_the_group_lets_in_the_caller_alone(double: Double, ebs: Make, context: Context) -> None:
    double.boots = False
    source = ebs(temporary_security_group_source_cidrs=["192.0.2.7/32", "2001:db8::1/128"])
    source.launch(context)
    groups = double.client().describe_security_groups()["SecurityGroups"]
    (rule,) = next(group for group in groups if group.get("Tags"))["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (double.port, double.port)
    assert [each["CidrIp"] for each in rule["IpRanges"]] == ["192.0.2.7/32"]
    assert [each["CidrIpv6"] for each in rule["Ipv6Ranges"]] == ["2001:db8::1/128"]
    source.destroy(None, context)


def test_copies_are_encrypted_shared_and_tagged(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    keys = {region: _key(region) for region in (HOME, *COPIES)}
    source = ebs(
        ami_regions=COPIES,
        encrypt_boot=True,
        kms_key_id=keys[HOME],
        region_kms_key_ids={region: keys[region] for region in COPIES},
        ami_users=["210987654321"],
        snapshot_users=["210987654321"],
        deprecate_at="2030-01-01T00:00:00Z",
        imds_support="v2.0",
        deregistration_protection={"enabled": True},
    )
    image = build(source, context)
    for region in (HOME, *COPIES):
        ami = image.properties["amis"][region]
        assert double.own_images(region) == {"web-0": ami}
        assert tags.EXPIRES not in tags.of(double.image(ami, region))
        allowed = double.client(region).describe_image_attribute(
            ImageId=ami, Attribute="launchPermission"
        )["LaunchPermissions"]
        assert allowed == [{"UserId": "210987654321"}]
    asked = double.asked
    copies = {c["KmsKeyId"]: c for name, c in asked if name == "copy_image"}
    assert copies.keys() == {keys[region] for region in COPIES}
    assert all(copy["Encrypted"] for copy in copies.values())
    (launched,) = [given for name, given in asked if name == "run_instances"]
    for mapping in launched["block_device_mappings"]:
        assert mapping["Ebs"]["KmsKeyId"] == keys[HOME]
    calls = [name for name, _ in asked]
    assert calls.count("enable_image_deprecation") == 3
    assert calls.count("enable_image_deregistration_protection") == 3


def _key(region: str) -> str:
    import boto3

    made = boto3.client("kms", region_name=region).create_key()
    found: str = made["KeyMetadata"]["KeyId"]
    return found


def test_a_predecessor_goes_once_the_new_image_is_there(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    first = build(ebs(ami_name="web", ami_regions=COPIES[:1]), context)
    old = first.properties["snapshots"]
    _again(context)
    source = ebs(
        ami_name="web", ami_regions=COPIES[:1], force_deregister=True, force_delete_snapshot=True
    )
    Faults(source, context).at("RegisterImage", faults.loses_reply)
    before = double.inventory()
    second = build(source, context)
    for region in (HOME, COPIES[0]):
        assert double.own_images(region) == {"web": second.properties["amis"][region]}
        assert second.properties["amis"][region] != first.properties["amis"][region]
        assert not set(old[region]) & set(double.inventory()[f"{region} snapshots"])
    assert double.inventory().keys() == before.keys()
    assert not context.journal.outstanding()


def test_a_predecessor_stays_when_the_new_image_fails(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    build(ebs(ami_name="web"), context)
    _again(context)
    before = double.inventory()
    source = ebs(ami_name="web", force_deregister=True, ami_users=["my-partner"])
    with pytest.raises(ConfigurationError, match="twelve digits"):
        build(source, context)
    source = ebs(ami_name="web", force_deregister=True, snapshot_users=[ACCOUNT])
    faulty = _fail_at("ModifySnapshotAttribute", source, context)
    with pytest.raises(SourceError, match="UnauthorizedOperation"):
        build(source, context)
    assert faulty.calls["ModifySnapshotAttribute"] == 1
    assert gained(double, before) == {}


def test_the_new_image_stays_where_it_cannot_take_the_name_of_one_that_is_gone(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    build(ebs(ami_name="web"), context)
    _again(context)
    source = ebs(ami_name="web", force_deregister=True)
    _fail_at("RegisterImage", source, context)
    with pytest.raises(SourceError, match=r"RegisterImage.*\n.*so the new one stays, as ami-"):
        build(source, context)
    assert list(double.own_images()) == ["web run"]
    assert not context.journal.outstanding()


def test_older_images_go_but_none_that_is_used(
    double: Double, ebs: Make, context: Context, events: list[Event]
) -> None:
    double.boots = False
    made = []
    for number in range(4):
        made.append(build(ebs(ami_name=f"web-{number}"), context).id)
        double.backend().amis[made[-1]].creation_date = datetime(2026, 1, number + 1, tzinfo=UTC)
        _again(context)
    client = double.client()
    client.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": made[1]}
    )
    double.backend().amis[made[2]].add_tags({"image-harness:keep": ""})
    newest = build(ebs(ami_name="web-9", keep_last=2), context)
    assert set(double.own_images().values()) == {made[1], made[2], made[3], newest.id}
    told = [event.text for event in events if isinstance(event, Notice)]
    assert f"{made[1]} is kept: the launch template fleet uses it" in told
    assert f"retired in {HOME}: {made[0]}" in told


def test_a_spot_instance_is_asked_for_and_never_stopped(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    source = ebs(spot_price="0.02", spot_tags={"team": "web"})
    faulty = Faults(source, context)
    for operation in ("RunInstances", "StopInstances"):
        faulty.at(operation)
    build(source, context)
    assert faulty.calls == {"RunInstances": 1}
    asked = faulty.bodies["RunInstances"]
    assert "MarketType=spot" in asked
    assert "MaxPrice=0.02" in asked
    assert "ResourceType=spot-instances-request" in asked
    assert "InstanceInitiatedShutdownBehavior" not in asked


def test_an_image_of_the_same_inputs_is_found_unless_it_is_too_old(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    context.notes["input_hash"] = "abc"
    made = build(ebs(), context)
    _again(context)
    young = replace(context, image_age=3600)
    source = ebs(ami_name="another")
    found = source.find_image("abc", None, young)
    assert found is not None
    assert (found.id, found.properties["amis"]) == (made.id, {HOME: made.id})
    assert source.find_image("other inputs", None, young) is None
    assert source.find_image("abc", None, replace(context, image_age=-1)) is None


def test_where_there_is_no_cloud_init_the_console_tells_the_host_key(
    double: Double, ebs: Make, context: Context
) -> None:
    source = ebs(plant_host_key=False)
    build(source, context, log_in=True)
    (console,) = double.consoles.values()
    assert "BEGIN SSH HOST KEY KEYS" in console


def test_the_console_is_shown(double: Double, ebs: Make, context: Context) -> None:
    double.boots = False
    source = ebs()
    machine = source.launch(context)
    assert source.console(machine, context) == b""
    double.consoles[machine.id] = "Kernel panic - not syncing: no root\n"
    assert source.console(machine, context) == b"Kernel panic - not syncing: no root\n"
    source.destroy(machine, context)


def _again(context: Context) -> None:
    """As if another run followed."""
    context.notes.clear()


def _fail_at(operation: str, source: AmazonEbs, context: Context) -> Any:
    made = Faults(source, context)
    made.at(operation, faults.denied)
    return made
