"""A Packer template on a real machine, and what follows its image."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.qemu import disk_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

TEMPLATE = {
    "min_packer_version": "1.6.0",
    "variables": {
        "base": None,
        "site": "a page",
        "token": "",
        "greeting": "{{user `site`}}!",
    },
    "sensitive-variables": ["token"],
    "builders": [
        {
            "type": "qemu",
            "name": "web",
            "disk_image": "true",
            "iso_url": "{{user `base`}}",
            "iso_checksum": "none",
            "ssh_username": "builder",
            "ssh_wait_timeout": "10m",
            "accelerator": "none",
            "memory": "1024",
            "cpus": 2,
            "headless": True,
            "boot_wait": "1s",
            "format": "qcow2",
            "vm_name": "web-{{timestamp}}.qcow2",
            "output_directory": "images",
            "shutdown_command": "sudo -n systemctl poweroff",
        }
    ],
    "provisioners": [
        {
            "type": "shell",
            "inline": [
                'echo "$TOKEN" | sha256sum >/tmp/token',
                "echo '{{user `greeting`}} {{build_name}}' >/tmp/greeting",
            ],
            "environment_vars": "TOKEN={{user `token`}}",
            "max_retries": "1",
        },
        {"type": "file", "source": "site/", "destination": "/tmp/site"},
        {
            "type": "shell",
            "script": "install.sh",
            "execute_command": "sudo -n env {{ .Vars }} sh -e {{ .Path }}",
            "override": {"web": {"environment_vars": ["WHERE=/srv/site"]}},
        },
        {
            "type": "file",
            "source": "/srv/site/index.html",
            "destination": "fetched",
            "direction": "download",
        },
    ],
    "post-processors": [
        [
            {"type": "checksum", "checksum_types": ["sha256"], "output": "SUMS"},
            {"type": "shell-local", "inline": ["echo {{build_name}} >followed"]},
        ],
        {"type": "manifest", "output": "made.json", "strip_path": True},
    ],
}

BUILD = """
site = harness.packer_template("build.json", sudo=True)

def test_site(site, variables):
    assert site.file("/srv/site/index.html").content_string == variables.site + "\\n"
    assert site.file("/tmp/greeting").content_string == "a page! web\\n"
    assert site.file("/srv/site/index.html").user == "root"
    assert site.file("/tmp/token").exists
"""


def test_a_template_makes_its_image(vm_project: VmProject, cached_base: Path) -> None:
    project = vm_project
    folder = project.path
    (folder / "build.json").write_text(json.dumps(TEMPLATE, indent=2))
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("a page\n")
    (folder / "install.sh").write_text('mv /tmp/site "$WHERE"\nchown -R root: "$WHERE"\n')
    (folder / "env.json").write_text(json.dumps({"base": str(cached_base), "token": "hunter22-s"}))
    project.write(BUILD)
    result = project.run("--var-file", "env.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["warning: build.json:*: *ssh_wait_timeout*ssh_timeout*"])
    image = next(path for path in project.images() if not path.is_symlink())
    assert image.name.startswith("web-")
    assert "/srv/site/index.html" in disk_files.files(image)
    assert (folder / "fetched").read_text() == "a page\n"
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    assert digest in (folder / "SUMS").read_text()
    assert (folder / "followed").read_text() == "web\n"
    (made,) = json.loads((folder / "made.json").read_text())["builds"]
    assert (made["name"], made["builder_type"]) == ("web", "qemu")
    assert made["files"] == [{"name": image.name, "size": image.stat().st_size}]
    assert "hunter22-s" not in result.stdout.str()
    for path in (folder / "reports").rglob("*"):
        assert path.is_dir() or b"hunter22-s" not in path.read_bytes()
    assert project.leftovers() == []
