"""What goes wrong at one of the API's calls ends in an image or in a clear error, and an account
that is as it was.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ConnectionClosedError

from harness import reaper
from harness.errors import CancelledError, SourceError
from tests.amazon import faults
from tests.amazon.build import build
from tests.amazon.double import COPIES, HOME
from tests.amazon.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context
    from tests.amazon.double import Double

    Make = Callable[..., AmazonEbs]

CREATING = [
    "ImportKeyPair",
    "CreateSecurityGroup",
    "AuthorizeSecurityGroupIngress",
    "RunInstances",
    "CreateImage",
]
CHANGING = ["StopInstances", "TerminateInstances", "ModifyImageAttribute", "DeleteTags"]


@pytest.fixture
def source(double: Double, ebs: Make) -> AmazonEbs:
    double.boots = False
    return ebs(ami_users=["210987654321"], max_retries=3, aws_polling={"delay_seconds": 0.05})


@pytest.mark.parametrize("operation", [*CREATING, *CHANGING])
def test_what_is_not_permitted_is_told_at_once_and_leaves_nothing(
    operation: str, source: AmazonEbs, double: Double, context: Context
) -> None:
    before = double.inventory()
    faulty = Faults(source, context)
    faulty.at(operation, faults.denied)
    with pytest.raises(
        SourceError, match=rf"ec2:{operation} in {HOME}: Unauthorized.*r-42"
    ) as told:
        build(source, context)
    assert f"needs the permission ec2:{operation}" in str(told.value)
    assert double.inventory() == before
    assert not context.journal.outstanding()


@pytest.mark.parametrize("fault", [faults.throttled, faults.broken, faults.resets])
def test_what_passes_is_tried_again(
    fault: Any, source: AmazonEbs, double: Double, context: Context
) -> None:
    before = double.inventory()
    faulty = Faults(source, context)
    operations = [*CREATING, *CHANGING, "DescribeInstances", "DescribeImages"]
    for operation in operations:
        faulty.at(operation, fault, fault, fault)
    build(source, context)
    assert all(faulty.calls[operation] > 3 for operation in operations)
    assert _without_image(double.inventory()) == _without_image(before)


def _without_image(inventory: dict[str, list[str]]) -> dict[str, list[str]]:
    return {k: ids for k, ids in inventory.items() if not k.endswith(("images", "snapshots"))}


@pytest.mark.parametrize("operation", CREATING)
def test_a_lost_reply_makes_nothing_twice(
    operation: str, source: AmazonEbs, double: Double, context: Context
) -> None:
    before = double.inventory()
    Faults(source, context).at(operation, faults.loses_reply)
    build(source, context)
    made = [name for name, _ in double.asked]
    assert made.count("run_instances") == 1
    assert _without_image(double.inventory()) == _without_image(before)
    assert len(double.own_images()) == 1


@pytest.mark.parametrize("operation", CREATING)
def test_what_is_made_without_anybody_learning_of_it_goes_all_the_same(
    operation: str, source: AmazonEbs, double: Double, context: Context
) -> None:
    before = double.inventory()
    Faults(source, context).at(operation, faults.loses_reply, faults.denied)
    with pytest.raises(SourceError, match="UnauthorizedOperation"):
        build(source, context)
    assert double.inventory() == before


def test_a_copy_that_fails_takes_the_others_with_it(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    before = double.inventory()
    source = ebs(ami_regions=COPIES)
    Faults(source, context).at("CopyImage", faults.denied, region=COPIES[1])
    with pytest.raises(SourceError, match=f"ec2:CopyImage in {COPIES[1]}"):
        build(source, context)
    assert double.inventory() == before


def test_where_there_is_no_capacity_the_next_place_is_tried(
    double: Double, ebs: Make, context: Context
) -> None:
    double.boots = False
    source = ebs(
        instance_type=None,
        spot_instance_types=["t3.small", "t3.medium"],
        subnet_filter={"filters": {"default-for-az": "true"}},
    )
    faulty = Faults(source, context)
    subnets = len(double.client().describe_subnets()["Subnets"])
    faulty.at("RunInstances", *[faults.full] * subnets)
    build(source, context)
    (launched,) = [given for name, given in double.asked if name == "run_instances"]
    assert launched["instance_type"] == "t3.medium"
    assert faulty.calls["RunInstances"] == subnets + 1


def test_without_capacity_anywhere_the_api_has_the_word(
    source: AmazonEbs, double: Double, context: Context
) -> None:
    before = double.inventory()
    faulty = Faults(source, context)
    faulty.at("RunInstances", faults.full, always=True)
    with pytest.raises(SourceError, match="InsufficientInstanceCapacity"):
        build(source, context)
    assert faulty.calls["RunInstances"] == 1
    assert double.inventory() == before


@pytest.mark.parametrize("operation", [*CREATING, "StopInstances", "ModifyImageAttribute"])
def test_stopping_the_run_at_any_call_leaves_nothing(
    operation: str, source: AmazonEbs, double: Double, context: Context
) -> None:
    before = double.inventory()

    def stop_the_run(request: Any) -> None:
        context.cancel.cancel()

    Faults(source, context).at(operation, stop_the_run)
    with pytest.raises(CancelledError):
        build(source, context)
    assert double.inventory() == before


def test_a_wait_ends_when_the_run_is_stopped(
    source: AmazonEbs, double: Double, context: Context
) -> None:
    Faults(source, context).at("DescribeInstances", faults.throttled, always=True)
    threading.Timer(0.5, context.cancel.cancel).start()
    with pytest.raises(CancelledError):
        source.launch(context)


@pytest.mark.parametrize("operation", CREATING)
def test_what_a_killed_run_left_the_next_one_removes(
    operation: str, source: AmazonEbs, double: Double, context: Context, tmp_path: Path
) -> None:
    before = double.inventory()

    class Killed(BaseException):
        pass

    def kill(request: Any) -> None:
        with contextlib.suppress(ConnectionClosedError):
            faults.loses_reply(request)
        raise Killed

    Faults(source, context).at(operation, kill)
    with pytest.raises(Killed):
        build(source, context, clean_up=False)
    assert double.inventory() != before
    journal = tmp_path / "journals" / "killed.jsonl"
    journal.parent.mkdir()
    journal.write_bytes((tmp_path / "run.jsonl").read_bytes())
    told = list(reaper.reap(journal.parent))
    assert any("removed" in line for line in told), told
    assert double.inventory() == before
    assert not journal.exists()
