from __future__ import annotations

import getpass
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from moto.server import ThreadedMotoServer

from harness.sources.amazon import account, removal
from harness.sources.amazon.ebs import AmazonEbs
from tests.amazon.double import HOME, Double, install
from tests.sshd import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "werkzeug")  # a line for each call


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The server of moto, in this process."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def double(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    """An empty account, but for an image to start from; nothing leads to another one."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_DEFAULT_REGION": HOME,
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"").read()
    monkeypatch.setattr(account, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(removal, "PAUSE", 0.01)
    folder = tmp_path / "machines"
    folder.mkdir()
    double = Double(folder, free_port())
    install(double, monkeypatch)
    double.source_ami = _source_image(double)
    yield double
    double.close()


def _source_image(double: Double) -> str:
    from moto.ec2.models.amis import Ami

    backend = double.backend()
    ami = Ami(
        backend,
        "ami-0123456789abcdef0",
        name="debian-12-amd64-20260101",
        owner_id="136693071363",
        public=True,
        architecture="x86_64",
        virtualization_type="hvm",
        root_device_type="ebs",
        root_device_name="/dev/xvda",
    )
    backend.amis[ami.id] = ami
    return ami.id


@pytest.fixture
def ebs(double: Double) -> Callable[..., AmazonEbs]:
    """A source that can be built; what is given takes the place of what it has."""

    def make(**options: Any) -> AmazonEbs:
        given = {
            "source_ami": double.source_ami,
            "instance_type": "t3.small",
            "ami_name": "web-{timestamp}",
            "ssh_username": getpass.getuser(),
            "ssh_port": double.port,
            "ssh_timeout": 30,
            "temporary_security_group_source_cidrs": ["127.0.0.1/32"],
            **options,
        }
        return AmazonEbs(**{name: value for name, value in given.items() if value is not None})

    return make
