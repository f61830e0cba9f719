"""Builders as sources: what Packer's options come to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import packer
from harness.errors import TemplateError
from harness.given import Given, Namespace
from harness.packer_builds.plans import Plans
from harness.packer_builds.sources import TemplateSource
from harness.packer_builds.values import Values
from harness.sources.qemu import Qemu

if TYPE_CHECKING:
    from harness.sources.base import Source

STARTED = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp())
DISK: dict[str, Any] = {"type": "qemu", "disk_image": True, "iso_url": "disk.qcow2"}


def settled(builder: dict[str, Any], **variables: str) -> Source:
    content = {"builders": [builder], "variables": variables}
    template = packer.read(json.dumps(content).encode(), "build.json")
    plans = Plans(template, Path("build.json").resolve())
    source = TemplateSource.of(template.builders[0], plans)
    by_name = {variable.name: variable for variable in source.variables}
    return source.settled(Namespace(by_name, Given(started=STARTED)))


def test_options_are_ours_by_name_and_type() -> None:
    found = settled(
        {
            **DISK,
            "name": "web",
            "iso_checksum": "sha256:00",
            "memory": "2048",
            "cpus": 4,
            "headless": "true",
            "disk_size": "40000",
            "disk_additional_size": "1G,2G",
            "ssh_username": "{{user `who`}}",
            "ssh_timeout": "1m30s",
            "accelerator": "none",
            "qemuargs": [["-cpu", "max"], ["-snapshot"], ["-name", "{{ .OutputDir }}"]],
            "cd_content": {"a": "b"},
            "boot_wait": "1s",
            "vm_name": "web-{{timestamp}}{x}.raw",
            "format": "raw",
        },
        who="me",
    )
    assert found == Qemu(
        base="disk.qcow2",
        base_checksum="sha256:00",
        name="web",
        memory=2048,
        cpus=4,
        disk_size=40000,
        disk_additional_size=("1G", "2G"),
        ssh_username="me",
        ssh_timeout=90.0,
        accelerator="tcg",
        qemuargs=(("-cpu", "max"), ("-snapshot",), ("-name", "{directory}")),
        cd_content={"a": "b"},
        image_name="web-{timestamp}{{x}}",
        format="raw",
        output_directory="output-web",
    )


def test_what_a_template_does_not_say() -> None:
    assert settled({**DISK, "iso_checksum": "none:00", "iso_urls": ["other.qcow2"]}) == Qemu(
        base="disk.qcow2",
        name="qemu",
        image_name="packer-qemu",
        output_directory="output-qemu",
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"iso_url": ""}, "iso_url says where it is"),
        ({"memroy": 1}, "qemu has no 'memroy': did you mean 'memory'"),
        ({"memory": "much"}, "a string stands where a whole number should be"),
        ({"memory": 1}, "memory=1: write a whole number of MiB, at least 64"),
        ({"ssh_timeout": 90}, 'write "90s" for seconds'),
    ],
)
def test_what_cannot_be_shows_where_it_stands(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        settled({**DISK, **changed})
    assert message in str(caught.value)
    assert str(caught.value).startswith("build.json:1:")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"disk_image": False}, "nothing is installed from a CD here"),
        ({"boot_command": ["<enter>"]}, "qemu has no boot_command: nothing is typed"),
        ({"floppy_files": ["a"]}, "write cd_files"),
        ({"communicator": "winrm"}, "machines are reached by ssh"),
        ({"qemuargs": [["-name", "{{ .HTTPIP }}"]]}, "HTTPIP"),
    ],
)
def test_what_we_do_not_do_leaves_the_other_builds_alone(
    changed: dict[str, Any], message: str
) -> None:
    found = settled({**DISK, **changed}).lacking()
    assert message in found
    assert found.startswith("build.json:1:")


def test_several_addresses_are_mirrors() -> None:
    urls = ["https://a.invalid/disk.qcow2", "https://b.invalid/disk.qcow2"]
    found = settled({**DISK, "iso_url": "", "iso_urls": urls})
    assert isinstance(found, Qemu)
    assert found.base == urls


def test_inputs_do_not_tell_the_moment() -> None:
    template = packer.read(
        b'{"builders": [{"type": "qemu"}], "variables": {"m": "{{timestamp}}", "i": "{{uuid}}"}}',
        "t.json",
    )
    values = Values(template, Path("t.json"))
    first, second = (
        Namespace({v.name: v for v in values.declared}, Given(started=at)) for at in (1, 2)
    )
    assert first.inputs() == second.inputs()
    assert first.shown()["m"] == "1"
    assert first.shown()["i"] == first.value("i").value != second.value("i").value
