"""What is told before anything is made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ConfigurationError
from harness.secret import Secret
from harness.sources.amazon import account, preflight
from tests.amazon import faults
from tests.amazon.build import build
from tests.amazon.double import COPIES, HOME
from tests.amazon.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context
    from tests.amazon.double import Double

    Make = Callable[..., AmazonEbs]

FILTER = {"filters": {"name": "debian-12-*"}, "owners": ["136693071363"]}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"access_key": "AKIA"}, "access_key and secret_key go together"),
        ({"profile": "ci", "access_key": "a", "secret_key": "b"}, "profile and access_key"),
        ({"assume_role": {"role_arm": "x"}}, "assume_role has 'role_arm': did you mean 'role_arn'"),
        ({"assume_role": {"session_name": "x"}}, "assume_role has no role_arn"),
        ({"aws_polling": {"delay_seconds": 0}}, "delay_seconds=0: write a number above 0"),
        ({"source_ami": None}, "source_ami and source_ami_filter are both missing"),
        ({"source_ami_filter": FILTER}, "both given"),
        ({"source_ami": "debian-12"}, "source_ami='debian-12' is no image's id"),
        (
            {"source_ami": None, "source_ami_filter": {"filters": {"name": "x"}}},
            "source_ami_filter has no owners",
        ),
        ({"instance_type": None}, "instance_type is missing"),
        ({"spot_instance_types": ["t3.small"]}, "both given"),
        ({"spot_price": "cheap"}, "spot_price='cheap': write dollars an hour"),
        ({"spot_tags": {"a": "b"}}, "spot_tags is of no use"),
        ({"spot_price": "auto", "ena_support": True}, "a spot instance cannot be stopped"),
        ({"temporary_key_pair_type": "ecdsa"}, "EC2 takes ed25519 and rsa"),
        (
            {"launch_block_device_mappings": [{"device_name": "/dev/sda1", "volume_sise": 8}]},
            "has 'volume_sise': did you mean 'volume_size'",
        ),
        ({"launch_block_device_mappings": [{"volume_size": 8}]}, "name its device"),
        (
            {"ami_block_device_mappings": [{"device_name": "a", "volume_type": "ssd"}]},
            "volume_type 'ssd': choose one of gp3",
        ),
        ({"metadata_options": {"http_token": "x"}}, "did you mean 'http_tokens'"),
        ({"shutdown_behavior": "explode"}, "choose one of stop, terminate"),
        ({"ssh_interface": "session_manager"}, 'session_manager" is not there yet'),
        ({"ssh_interface": "public"}, "choose one of public_ip"),
        ({"temporary_security_group_source_cidrs": ["10.0.0.1/8"]}, "has host bits set"),
        ({"ami_name": None}, "ami_name is missing"),
        ({"ami_name": "ab"}, "it has 2 characters, and a name has 3 to 128"),
        ({"ami_name": "web:1"}, "':' may not be in it"),
        ({"tags": {"aws:x": "y"}}, "tags of that beginning are not yours"),
        ({"tags": {"x": 1}}, "a tag is a text"),
        ({"ami_users": ["me"]}, "an account has twelve digits"),
        ({"ami_groups": ["everybody"]}, "choose one of all"),
        ({"deprecate_at": "2030-01-01"}, "write a time with its zone"),
        ({"force_delete_snapshot": True}, "of no use without force_deregister"),
        ({"kms_key_id": "alias/x"}, "of no use without encrypt_boot=True"),
        (
            {"encrypt_boot": True, "region_kms_key_ids": {"eu-west-1": "k"}},
            "not among ami_regions",
        ),
        ({"encrypt_boot": True, "ami_groups": ["all"]}, "an encrypted image cannot be public"),
        (
            {"encrypt_boot": True, "ami_users": ["1" * 12], "ami_regions": COPIES},
            f"there is none for the build region, {COPIES[0]}, {COPIES[1]}",
        ),
        ({"user_data": "a", "user_data_file": "b"}, "both given"),
        ({"user_data_file": "missing"}, "user_data_file='missing' is no text file"),
    ],
)
def test_wrong_options_are_told_without_the_api(
    options: dict[str, Any],
    told: str,
    ebs: Make,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "Account", None)  # who asks the API fails otherwise
    with pytest.raises(ConfigurationError, match=told):
        ebs(**options).validate(context)


def test_the_bastions_address_must_be_known(ebs: Make, context: Context) -> None:
    source = ebs(ssh_proxy_host="proxy.example", temporary_security_group_source_cidrs=())
    with pytest.raises(ConfigurationError, match="say which addresses the machine sees"):
        source.validate(context)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"source_ami": "ami-00000000"}, "source_ami='ami-00000000': no such image in us-west-2"),
        (
            {
                "source_ami": None,
                "source_ami_filter": {**FILTER, "filters": {"name": "debian-21*"}},
            },
            r"0 images .*; the nearest are ami-0123456789abcdef0 \(debian-12-amd64-20260101\)",
        ),
        ({"instance_type": "t3.smal"}, "instance_type='t3.smal': there is no such type"),
        (
            {"instance_type": "t4g.small"},
            r"t4g.small runs arm64, and ami-0123456789abcdef0 \(debian-12.*\) is for x86_64",
        ),
        ({"ami_regions": ["eu-centrl-1"]}, "'eu-centrl-1', which is no region: did you mean"),
        ({"ami_regions": [HOME]}, "where the machine runs"),
        ({"subnet_id": "subnet-1"}, "subnet_id='subnet-1': there is none in us-west-2"),
        ({"vpc_id": "vpc-1"}, "vpc_id='vpc-1': there is none in us-west-2"),
        ({"security_group_id": "sg-1"}, "security_group_id='sg-1': there is none"),
        ({"subnet_filter": {"filters": {"tag:x": "y"}}}, "no subnet in us-west-2 fits"),
        ({"iam_instance_profile": "nobody"}, "iam_instance_profile='nobody'"),
        ({"encrypt_boot": True, "kms_key_id": "alias/none"}, "no such key in us-west-2"),
    ],
)
def test_what_the_api_knows_is_told_before_anything_is_made(
    options: dict[str, Any], told: str, double: Double, ebs: Make, context: Context
) -> None:
    before = double.inventory()
    with pytest.raises(ConfigurationError, match=told):
        build(ebs(**options), context)
    assert double.inventory() == before


def test_all_that_is_wrong_is_told_at_once(double: Double, ebs: Make, context: Context) -> None:
    double.boots = False
    build(ebs(ami_name="web", ami_regions=COPIES), context)
    context.notes.clear()
    source = ebs(ami_name="web", ami_regions=COPIES, source_ami="ami-00000000", vpc_id="vpc-1")
    with pytest.raises(ConfigurationError) as told:
        source.validate(context)
    lines = str(told.value).splitlines()
    assert len(lines) == 5
    for region in (HOME, *COPIES):
        assert any(f"in {region} has that name" in line for line in lines)


def test_two_builds_cannot_give_their_images_one_name(ebs: Make, context: Context) -> None:
    other = replace(context, build="web.other")
    ebs(ami_name="web", ami_regions=COPIES[:1]).validate(context)
    with pytest.raises(ConfigurationError, match=f"the build web.qemu makes 'web' in {HOME} too"):
        ebs(ami_name="web").validate(other)
    ebs(ami_name="web-{source}").validate(other)


def test_several_images_need_most_recent(double: Double, ebs: Make, context: Context) -> None:
    older = double.backend().amis[double.source_ami]
    from moto.ec2.models.amis import Ami

    newer = Ami(
        double.backend(),
        "ami-0fedcba9876543210",
        name="debian-12-amd64-20260201",
        owner_id=older.owner_id,
        architecture="x86_64",
        creation_date=datetime(2099, 1, 1, tzinfo=UTC),
    )
    double.backend().amis[newer.id] = newer
    with pytest.raises(ConfigurationError, match=rf"2 images .*the newest are {newer.id}"):
        ebs(source_ami=None, source_ami_filter=FILTER).validate(context)
    source = ebs(source_ami=None, source_ami_filter={**FILTER, "most_recent": True})
    assert source.facts(context) == {"source_ami": newer.id}


def test_a_right_that_is_missing_is_told_before_anything_is_made(
    ebs: Make, double: Double, context: Context
) -> None:
    before, source = double.inventory(), ebs()
    faults.refuse_dry_run(source, context)
    with pytest.raises(
        ConfigurationError, match=r"could not be launched: ec2:RunInstances .*Unauth"
    ):
        source.validate(context)
    assert double.inventory() == before


def test_no_credentials_are_one_sentence(
    ebs: Make, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigurationError, match=r"no credentials for Amazon: .*AWS_PROFILE"):
        ebs().validate(context)
    with pytest.raises(ConfigurationError, match=r"no credentials for Amazon: .*\(nobody\)"):
        ebs(profile="nobody").validate(context)


@pytest.mark.parametrize("code", ["AuthFailure", "ExpiredToken"])
def test_refused_credentials_are_a_mistake_of_configuration(
    code: str, ebs: Make, context: Context
) -> None:
    source = ebs()
    Faults(source, context).at("DescribeRegions", faults.answers(code, 401))
    with pytest.raises(ConfigurationError, match=rf"{code}.*request r-42.*AWS_PROFILE"):
        source.validate(context)


def test_no_region_is_a_mistake(
    ebs: Make, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(ConfigurationError, match="region is missing"):
        ebs().validate(context)
    monkeypatch.setenv("AWS_REGION", COPIES[0])
    with pytest.raises(ConfigurationError, match=f"no such image in {COPIES[0]}"):
        ebs().validate(context)


def test_secrets_are_in_no_repr_and_no_report(ebs: Make) -> None:
    source = ebs(
        access_key="AKIAEXAMPLE", secret_key="wJalrXUtnFEMI", token=Secret("session-token")
    )
    assert "wJalrXUtnFEMI" not in repr(source)
    assert "wJalrXUtnFEMI" not in repr(source.access)
    shown = source.options()
    assert (shown["access_key"], shown["secret_key"], shown["token"]) == ("***", "***", "***")
    assert {name for name, _ in source.secrets()} == {"secret_key", "token"}


def test_user_data_has_its_bounds(ebs: Make, double: Double, context: Context) -> None:
    import random

    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=60_000))
    double.boots = False
    before = double.inventory()
    with pytest.raises(ConfigurationError, match="EC2 takes 16384"):
        build(ebs(user_data=f"#!/bin/sh\n# {noise}"), context)
    assert double.inventory() == before


def test_without_boto3_the_way_out_is_told(
    ebs: Make, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from harness.errors import ToolMissingError

    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ToolMissingError, match=r"pytest-image-harness\[amazon\]"):
        account.require_boto3()
