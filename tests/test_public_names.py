"""The names that users may rely on."""

from __future__ import annotations

import subprocess
import sys

import pytest

import harness


def test_the_public_names() -> None:
    assert sorted(harness.__all__) == [
        "AmazonEbs",
        "CommandError",
        "CommandResult",
        "CommandTimeoutError",
        "ConfigurationError",
        "HarnessError",
        "Host",
        "Image",
        "Machine",
        "Qemu",
        "Seal",
        "Secret",
        "Source",
        "Variables",
        "build",
        "only",
        "packer_template",
        "post_processors",
        "provisioners",
        "sealed",
        "var",
    ]
    for name in harness.__all__:
        assert getattr(harness, name)


def test_another_name_is_an_error_that_lists_them() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Packer'; it has .*'Qemu'"):
        _ = harness.Packer


def test_the_plugin_costs_a_session_without_builds_no_dear_import() -> None:
    code = "import harness.plugin.collection, harness.plugin.loop, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"paramiko", "testinfra", "pycdlib", "cryptography"} & set(loaded.stdout.split())
