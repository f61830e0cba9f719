"""Images whose files are small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.model import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = b"hello world, hello world\n" * 100


@pytest.fixture
def make_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Image]:
    """Makes an image of these files below the current folder; without any it is in a cloud."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def make(*names: str, data: bytes = DATA) -> Image:
        paths = [tmp_path / name for name in names]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        more: dict[str, Any] = {"path": paths[0]} if paths else {}
        disks = [{"id": name} for name in names[1:]]
        return Image(
            id=names[0] if names else "ami-1",
            build="web.fake",
            source_type="fake",
            format="raw",
            size=len(data),
            checksum="sha256:0",
            properties={"additional_disks": disks} if disks else {},
            **more,
        )

    return make


@pytest.fixture
def image(make_image: Callable[..., Image]) -> Image:
    return make_image("images/web.img")
