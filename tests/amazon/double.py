"""An account on moto, made a little more like the real one, with SSH servers as its machines.

moto's EC2 loses tags of snapshots, copies and registered images, and knows neither deprecation nor
deregistration protection: here it keeps them.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses import EC2Response
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.general import General

from tests.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

ACCOUNT = "123456789012"
HOME = "us-west-2"
COPIES = ("eu-central-1", "ap-southeast-2")
REGIONS = (HOME, *COPIES)


@dataclass
class Double:
    """What tests look at, and where its machines live.

    ``port`` is where each of them has its SSH server, on a loopback address of its own.
    """

    folder: Path
    port: int
    source_ami: str = ""
    machines: dict[str, Sshd] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Calls that moto would forget the parameters of: name, parameters."""
    consoles: dict[str, str] = field(default_factory=dict)
    """What instances have printed, by their ids."""
    boots: bool = True
    """Whether instances have an SSH server."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    def client(self, region: str = HOME) -> Any:
        return _client(os.environ["AWS_ENDPOINT_URL"], region)

    def backend(self, region: str = HOME) -> Any:
        return ec2_backends[ACCOUNT][region]

    def inventory(self) -> dict[str, list[str]]:
        """All that costs money or is in the way, by region and kind."""
        return {
            f"{region} {kind}": sorted(ids)
            for region in REGIONS
            for kind, ids in _things(self.client(region)).items()
        }

    def image(self, ami: str, region: str = HOME) -> dict[str, Any]:
        found: dict[str, Any] = self.client(region).describe_images(ImageIds=[ami])["Images"][0]
        return found

    def own_images(self, region: str = HOME) -> dict[str, str]:
        """Ids by name."""
        images = self.client(region).describe_images(Owners=["self"])["Images"]
        return {image["Name"]: image["ImageId"] for image in images}

    def address(self) -> str:
        return f"127.77.0.{next(self._numbers)}"

    def boot(self, instance: Any) -> None:
        """What cloud-init would do, or EC2's key pair; and then the machine's SSH server."""
        folder = self.folder / instance.id
        folder.mkdir()
        server = Sshd.make(folder)
        if instance.user_data:
            config = json.loads(instance.user_data.decode().partition("\n")[2])
            (folder / "host_key").write_text(config["ssh_keys"]["ed25519_private"])
            (folder / "host_key").chmod(0o600)
            public = config["users"][-1]["ssh_authorized_keys"][0]
        else:  # an image without cloud-init
            public = self.backend().key_pairs[instance.key_name].material_public.decode()
            host_key = (folder / "host_key.pub").read_text()
            self.consoles[instance.id] = (
                f"-----BEGIN SSH HOST KEY KEYS-----\n{host_key}-----END SSH HOST KEY KEYS-----\n"
            )
        (folder / "authorized_keys").write_text(public)
        server.address, server.port = instance.public_ip, self.port
        server.start()
        self.machines[instance.id] = server

    def close(self) -> None:
        for server in self.machines.values():
            server.stop()


@functools.cache
def _client(endpoint: str, region: str) -> Any:
    """Made once: each takes as long as a test."""
    return boto3.client("ec2", region_name=region, endpoint_url=endpoint)


def _things(client: Any) -> dict[str, list[str]]:
    reservations = client.describe_instances()["Reservations"]
    instances = [i for each in reservations for i in each["Instances"]]
    return {
        "instances": [i["InstanceId"] for i in instances if i["State"]["Name"] != "terminated"],
        "volumes": [v["VolumeId"] for v in client.describe_volumes()["Volumes"]],
        "snapshots": [s["SnapshotId"] for s in client.describe_snapshots()["Snapshots"]],
        "images": [i["ImageId"] for i in client.describe_images(Owners=["self"])["Images"]],
        "keys": [k["KeyName"] for k in client.describe_key_pairs()["KeyPairs"]],
        "groups": [g["GroupId"] for g in client.describe_security_groups()["SecurityGroups"]],
        "addresses": [a["PublicIp"] for a in client.describe_addresses()["Addresses"]],
    }


def install(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make moto stricter, until the test is over."""
    for name, wrapped in {
        "create_image": _with_tags(AmisResponse.create_image, double),
        "copy_image": _with_tags(AmisResponse.copy_image, double),
        "register_image": _with_tags(AmisResponse.register_image, double),
    }.items():
        monkeypatch.setattr(AmisResponse, name, wrapped)
    for name in (
        "enable_image_deprecation",
        "enable_image_deregistration_protection",
        "modify_image_attribute",
        "modify_instance_attribute",
    ):
        original = getattr(EC2Response, name, None)
        monkeypatch.setattr(EC2Response, name, _noted(name, original, double), raising=False)
    monkeypatch.setattr(AmiBackend, "create_image", _create_image)
    monkeypatch.setattr(General, "get_console_output", _console(double))
    monkeypatch.setattr(InstanceBackend, "run_instances", _running(double))
    monkeypatch.setattr(
        "moto.ec2.models.elastic_network_interfaces.random_public_ip", double.address
    )


def _with_tags(original: Callable[[Any], Any], double: Double) -> Callable[[Any], Any]:
    """A call that makes an image, and gives it and its snapshots the tags that came along."""

    def call(response: Any) -> Any:
        given = response._get_params()
        double.asked.append((original.__name__, given))
        taken = [i.name for i in response.ec2_backend.amis.values()]
        if given["Name"] in taken:
            _refuse("InvalidAMIName.Duplicate", f"AMI name {given['Name']} is in use")
        result = original(response)
        ami = response.ec2_backend.amis[result._result["ImageId"]]
        for each in given.get("TagSpecifications", ()):
            things: dict[str, Any] = {"image": ami, "snapshot": ami.ebs_snapshot}
            thing = things[each["ResourceType"]]
            thing.add_tags({tag["Key"]: tag["Value"] for tag in each["Tags"]})
        return result

    return call


def _noted(name: str, original: Any, double: Double) -> Callable[[Any], Any]:
    def call(response: Any) -> Any:
        given = response._get_params()
        double.asked.append((name, given))
        if original is None or "ImdsSupport" in given or "EnaSupport" in given:
            return ActionResult({"Return": "true"})
        return original(response)

    return call


def _console(double: Double) -> Callable[[Any], Any]:
    def get_console_output(response: Any) -> Any:
        text = double.consoles.get(response._get_param("InstanceId"), "")
        return ActionResult({"Output": base64.b64encode(text.encode()).decode()})

    return get_console_output


def _create_image(
    backend: Any, instance_id: str, name: str, description: str, tag_specifications: object
) -> Ami:
    del tag_specifications  # the response gives them
    ami = Ami(
        backend,
        f"ami-{len(backend.amis):017x}",
        instance=backend.get_instance(instance_id),
        name=name,
        description=description,
    )
    backend.amis[ami.id] = ami
    return ami


def _running(double: Double) -> Callable[..., Any]:
    original = InstanceBackend.run_instances

    def run_instances(backend: Any, *args: Any, **kwargs: Any) -> Any:
        token = kwargs["client_token"]
        for reservation in backend.reservations.values():
            if any(i.client_token == token for i in reservation.instances):
                return reservation  # as the real one: the same token, the same instance
        double.asked.append(("run_instances", kwargs))
        reservation = original(backend, *args, **kwargs)
        for instance in reservation.instances if double.boots else ():
            double.boot(instance)
        return reservation

    return run_instances


def _refuse(code: str, message: str) -> None:
    from moto.ec2.exceptions import EC2ClientError

    raise EC2ClientError(code, message)
