"""A session of pytest with builds for Amazon, against moto, with SSH servers as machines.

Nothing is sealed: the servers run on this computer, and the seal would empty it.
"""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING

import pytest

from tests.amazon.double import HOME

if TYPE_CHECKING:
    from tests.amazon.double import Double
    from tests.project import Project

SOURCE = """
def source(**options):
    return harness.AmazonEbs(
        source_ami={ami!r}, instance_type="t3.small", ssh_username={user!r}, ssh_port={port},
        temporary_security_group_source_cidrs=["127.0.0.1/32"],
        **{{"ami_name": "{{build}}-{{source}}", **options}},
    )
"""
BUILD = """
@harness.build(source(), seal=False)
def web(machine):
    machine.shell("echo provisioned")

def test_it(web):
    assert web.check_output("echo hello") == "hello"
"""


@pytest.fixture
def write(project: Project, double: Double) -> object:
    head = SOURCE.format(ami=double.source_ami, user=getpass.getuser(), port=double.port)
    return lambda source: project.write(head + source)


def test_a_build_from_its_source_image_to_its_image(
    project: Project, double: Double, write: object
) -> None:
    assert callable(write)
    write(BUILD)
    outcomes = project.outcomes()
    assert outcomes == {
        "web::provision[amazon-ebs]": "PASSED",
        "test_it[amazon-ebs]": "PASSED",
        "web::image[amazon-ebs]": "PASSED",
    }
    entry = project.manifest()["web.amazon-ebs"]
    assert double.own_images() == {"web-amazon-ebs": entry["image"]["id"]}
    assert entry["image"]["properties"]["region"] == HOME
    assert entry["inputs"]["source_ami"] == double.source_ami
    assert not double.inventory()[f"{HOME} instances"]


def test_a_failing_test_leaves_an_account_as_it_was(
    project: Project, double: Double, write: object
) -> None:
    assert callable(write)
    before = double.inventory()
    write(BUILD.replace('"hello"', '"goodbye"'))
    assert project.outcomes()["web::image[amazon-ebs]"] == "FAILED"
    assert double.inventory() == before


def test_what_is_wrong_with_any_build_is_told_before_one_is_launched(
    project: Project, double: Double, write: object
) -> None:
    assert callable(write)
    before = double.inventory()
    write(BUILD + BUILD.replace("web", "db").replace("source()", "source(vpc_id='vpc-1')"))
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*db.amazon-ebs: vpc_id='vpc-1': there is none in us-west-2"])
    assert double.inventory() == before
    assert not double.machines


def test_a_packer_template_builds_for_amazon(project: Project, double: Double) -> None:
    builder = {
        "type": "amazon-ebs",
        "source_ami": double.source_ami,
        "instance_type": "t3.small",
        "ssh_username": getpass.getuser(),
        "ssh_port": str(double.port),
        "temporary_security_group_source_cidrs": ["127.0.0.1/32"],
        "ami_name": "from-a-template",
        "tags": {"team": "web"},
    }
    template = {"builders": [builder], "provisioners": [{"type": "shell", "inline": ["true"]}]}
    (project.path / "build.json").write_text(json.dumps(template))
    project.write("web = harness.packer_template('build.json', untested=True, seal=False)")
    result = project.run()
    assert result.ret == 0, result.outlines
    assert list(double.own_images()) == ["from-a-template"]
