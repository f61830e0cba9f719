"""Packer's manifest."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigurationError
from harness.post_processors import Manifest
from tests.post_processors.conftest import DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.model import Image


def test_a_manifest_grows(image: Image, make_image: Callable[..., Image], tmp_path: Path) -> None:
    Manifest(custom_data={"from": "{{.BuildName}}"})(image)
    Manifest(strip_path=True, strip_time=True)(image)
    Manifest()(make_image())
    document = json.loads((tmp_path / "packer-manifest.json").read_text())
    first, second, third = document["builds"]
    assert first.pop("build_time") > 1_500_000_000
    assert first == {
        "name": "fake",
        "builder_type": "fake",
        "files": [{"name": "images/web.img", "size": len(DATA)}],
        "artifact_id": "images/web.img",
        "packer_run_uuid": first["packer_run_uuid"],
        "custom_data": {"from": "fake"},
    }
    assert second["files"][0]["name"] == "web.img"
    assert "build_time" not in second
    assert (third["files"], third["artifact_id"]) == (None, "ami-1")
    assert document["last_run_uuid"] == third["packer_run_uuid"]
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", third["packer_run_uuid"])


@pytest.mark.parametrize("content", ["{", "[]", '{"builds": 1}', "\xff"])
def test_what_is_no_manifest_is_left_alone(image: Image, tmp_path: Path, content: str) -> None:
    path = tmp_path / "packer-manifest.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=r"post-processor manifest: .*is no manifest"):
        Manifest()(image)
    assert path.read_text(encoding="latin-1") == content
