"""An instance at rest, so that its volumes are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.sources.amazon import preflight, waits

if TYPE_CHECKING:
    from harness.sources.amazon.account import Api
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.amazon.machine import Ec2Machine
    from harness.sources.base import Context


def stop(source: AmazonEbs, machine: Ec2Machine, context: Context) -> None:
    """Stop it, and wait until it has stopped; a spot instance, which cannot be, is left to run.

    Raises:
        SourceError: it does not stop in time, or the build's time is over.
    """
    waits.remaining(source, context)
    api = preflight.plan(source, context).api
    if source.is_spot:
        return
    if not source.disable_stop_instance:
        api.call("stop_instances", InstanceIds=[machine.id])
    waits.instance(source, api, context, machine.id, "stopped")
    _say_what_it_supports(source, api, machine)


def _say_what_it_supports(source: AmazonEbs, api: Api, machine: Ec2Machine) -> None:
    """An image takes this over from its instance, which must have stopped for it."""
    if source.ena_support:
        api.call("modify_instance_attribute", InstanceId=machine.id, EnaSupport={"Value": True})
    if source.sriov_support:
        api.call(
            "modify_instance_attribute",
            InstanceId=machine.id,
            SriovNetSupport={"Value": "simple"},
        )
