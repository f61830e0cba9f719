"""Old names: what `packer fix` does, ours does too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness import packer
from harness.errors import TemplateError
from tests.packer import corpus, peer

if TYPE_CHECKING:
    from pathlib import Path

    from harness.packer import Template

OLD: dict[str, list[dict[str, Any]]] = {
    "builders": [
        {"type": "amazon-ebs", "shutdown_behaviour": "stop", "enhanced_networking": True},
        {
            "type": "amazon-ebs",
            "ssh_private_ip": True,
            "temporary_security_group_source_cidr": "::/0",
        },
        {"type": "amazon-instance", "spot_price_auto_product": "Linux", "ssh_private_ip": "true"},
        {"type": "openstack", "ssh_key_path": "k", "ssh_wait_timeout": "5m"},
        {"type": "openstack", "ssh_disable_agent": True},
        {"type": "openstack", "ssh_key_path": "old", "ssh_private_key_file": "new"},
        {"type": "qemu", "iso_md5": "abc"},
        {"type": "qemu", "iso_checksum": "abc", "iso_checksum_type": "sha256"},
        {"type": "qemu", "iso_checksum_type": "sha256", "iso_checksum_url": "http://x/SUMS"},
        {"type": "qemu", "iso_checksum": "abc", "iso_checksum_url": "http://x/SUMS"},
        {"type": "qemu", "ssh_host_port_min": 1, "ssh_host_port_max": 2},
        {"type": "qemu", "iso_checksum": "md5:abc", "headless": True},
    ],
    "provisioners": [{"type": "ansible-local", "galaxycommand": "x"}, {"type": "shell"}],
    "post-processors": [
        {"type": "manifest", "filename": "x"},
        {"type": "compress", "output": "y"},
    ],
}


def read(builder: dict[str, Any]) -> Template:
    return packer.read(json.dumps({"builders": [builder]}).encode(), "t.json")


def today(builder: dict[str, Any]) -> dict[str, Any]:
    return {n: value.plain() for n, value in read(builder).builders[0].options.items()}


def test_packer_fix_does_the_same(tmp_path: Path) -> None:
    for index, builder in enumerate(OLD["builders"]):
        builder["name"] = f"b{index}"
    file = tmp_path / "old.json"
    file.write_text(json.dumps(OLD), "utf-8")
    theirs = json.loads(peer.run("fix", file, "-validate=false").stdout)
    ours = packer.read(file.read_bytes(), "old.json")
    parts = {
        "builders": ours.builders,
        "provisioners": ours.provisioners,
        "post-processors": [chain[0] for chain in ours.post_processors],
    }
    for kind, components in parts.items():
        for component, fixed in zip(components, theirs[kind], strict=True):
            options = {n: v for n, v in fixed.items() if n not in ("type", "name")}
            cidrs = options.get("temporary_security_group_source_cidrs")
            if cidrs:  # a single text is a list where one is wanted
                options["temporary_security_group_source_cidrs"] = ",".join(cidrs)
            assert {n: v.plain() for n, v in component.options.items()} == options
    assert len(ours.warnings) == 19


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "digitalocean", "client_id": "x", "api_key": "k"}, {"api_token": "k"}),
        (
            {"type": "digitalocean", "image_id": 5, "region_id": 4, "size_id": 66},
            {"image": 5, "region": 4, "size": 66},
        ),
        (
            {"type": "openstack", "provider": "rackspace-us"},
            {"identity_endpoint": "https://identity.api.rackspacecloud.com/v2.0"},
        ),
        ({"type": "openstack", "provider": "https://x/v3"}, {"identity_endpoint": "https://x/v3"}),
        (
            {"type": "amazon-ebs", "ami_block_device_mappings": []},
            {"launch_block_device_mappings": []},
        ),
        ({"type": "amazon-ebs", "ssh_private_ip": False}, {}),
        (
            {"type": "qemu", "iso_checksum_type": "none", "iso_checksum": "x"},
            {"iso_checksum": "none"},
        ),
        (
            {"type": "qemu", "iso_checksum_type": "md5", "iso_checksum": "md5:x"},
            {"iso_checksum": "md5:x"},
        ),
    ],
)
def test_what_packer_has_no_fixer_for(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert today(old) == new


@pytest.mark.parametrize(
    "builder",
    [
        {"type": "qemu", "shutdown_behaviour": "stop"},
        {"type": "amazon-ebs", "api_key": "k"},
        {"type": "amazon-ebs", "ssh_host_port_min": 1},
    ],
)
def test_names_are_old_for_their_types_alone(builder: dict[str, Any]) -> None:
    assert read(builder).warnings == ()
    assert {"type": builder["type"], **today(builder)} == builder


def test_a_warning_says_where_and_what_it_is_called() -> None:
    assert read({"type": "qemu", "ssh_key_path": "k"}).warnings == (
        "t.json:1:32: 'ssh_key_path' is called 'ssh_private_key_file' today",
    )


def test_an_old_flag_that_a_variable_sets_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"^t\.json:1:56: this is called 'ssh_interface' today"):
        read({"type": "amazon-ebs", "ssh_private_ip": "{{user `private`}}"})


def test_old_texts_are_warned_of_and_work() -> None:
    template = read({"type": "amazon-ebs", "ami_name": "{{clean_ami_name `a:b`}} {{.CreateTime}}"})
    assert [warning.partition(": ")[2] for warning in template.warnings] == [
        "clean_ami_name and clean_image_name are called clean_resource_name today",
        "{{.CreateTime}} is written {{timestamp}} today",
    ]
    plan = packer.prepare(template, {}, corpus.facts(corpus.GOOD[0])).plan("amazon-ebs")
    assert packer.as_text(plan.builder.options["ami_name"]) == "a-b 1767323045"


def test_old_names_in_overrides_are_renamed() -> None:
    template = {
        "builders": [{"type": "null"}],
        "provisioners": [{"type": "ansible-local", "override": {"null": {"galaxycommand": "x"}}}],
    }
    read = packer.read(json.dumps(template).encode(), "t.json")
    assert list(read.provisioners[0].override["null"]) == ["galaxy_command"]
