"""[tool.harness]: what may be set, and what is said of what may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import settings
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.project import Project


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_CACHE_SIZE", raising=False)


def write(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


@pytest.mark.parametrize("text", ["", "[tool.other]\ncache_size = 1", "[tool.harness]", None])
def test_a_project_may_set_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        write(tmp_path, text)
    assert settings.read(tmp_path).cache_size == 20 << 30


@pytest.mark.parametrize(
    ("value", "size"), [('"5G"', 5 << 30), ('"512 MiB"', 512 << 20), ("512", 512 << 20)]
)
def test_the_file_is_read(tmp_path: Path, value: str, size: int) -> None:
    write(tmp_path, f"[tool.harness]\ncache_size = {value}")
    assert settings.read(tmp_path).cache_size == size


def test_the_environment_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "[tool.harness]\ncache_size = '5G'")
    for value, size in {"1G": 1 << 30, "": 5 << 30}.items():
        monkeypatch.setenv("HARNESS_CACHE_SIZE", value)
        assert settings.read(tmp_path).cache_size == size
    monkeypatch.setenv("HARNESS_CACHE_SIZE", "much")
    with pytest.raises(ConfigurationError, match=r"^HARNESS_CACHE_SIZE='much' is no size"):
        settings.read(tmp_path)


def test_a_folder_below_belongs_to_the_project(tmp_path: Path) -> None:
    write(tmp_path, "[tool.harness]\ncache_size = '5G'")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert settings.find(below).cache_size == 5 << 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cache_size = '5X'", r"toml: cache_size='5X' is no size: write \"10G\", "),
        ("cache_size = true", "cache_size=True is no size"),
        ("cache_size = 0", "cache_size=0 is no size"),
        ("cachesize = 1", "has no key 'cachesize': did you mean 'cache_size'?"),
        ("colour = 1", "has no key 'colour'; there are cache_size"),
        ("cache_size = ", "pyproject.toml is no TOML: Invalid value"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, f"[tool.harness]\n{text}")
    with pytest.raises(ConfigurationError, match=message.replace("?", r"\?")):
        settings.read(tmp_path)


@pytest.mark.parametrize("text", ["[tool]\nharness = 1", "tool = 3"])
def test_tool_harness_is_a_table(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=r"\[tool\.harness\] is a table"):
        settings.read(tmp_path)


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_a_run_that_is_set_wrongly_makes_nothing(project: Project, options: list[str]) -> None:
    project.write(
        "@harness.build(FakeSource(diary=DIARY))\ndef web(machine): pass\ndef test(web): pass"
    )
    write(project.path, "[tool.harness]\ncache_size = 'large'")
    result = project.run(*options)
    assert result.ret != 0
    assert "cache_size='large' is no size" in result.stdout.str() + result.stderr.str()
    assert not (project.path / "diary.txt").exists()
    assert not (project.path / "cache").exists()
