"""Files with values of variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import var_files
from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"a": "x", "n": 8, "l": ["y"], "b": true}'),
        ("a.JSON", '\ufeff{"a": "x", "n": 8, "l": ["y"], "b": true}'),
        ("a.toml", 'a = "x"\nn = 8\nl = ["y"]\nb = true'),
        ("a.yaml", "a: x\nn: 8\nl: [y]\nb: true"),
        ("a.yml", "a: x\nn: 8\nl:\n- y\nb: true"),
        ("63", '{"a": "x", "n": 8, "l": ["y"], "b": true}'),
    ],
)
def test_each_kind_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert var_files.read(tmp_path / name) == {"a": "x", "n": 8, "l": ["y"], "b": True}


def test_what_yaml_merges_may_be_there_again(tmp_path: Path) -> None:
    text = "b: &b {x: 1}\nd:\n  e: &e {<<: *b, x: 2}\nf: {<<: *e, x: 3}\n"
    (tmp_path / "a.yaml").write_text(text)
    found = var_files.read(tmp_path / "a.yaml")
    assert found == {"b": {"x": 1}, "d": {"e": {"x": 2}}, "f": {"x": 3}}


@pytest.mark.parametrize("name", ["a.json", "a.toml", "a.yaml"])
def test_an_empty_one_has_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}" if name == "a.json" else "")
    assert var_files.read(tmp_path / name) == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"a": "s3cret"', "line 1, column 15: Expecting"),
        ("a.json", '{"a": "s3cret", "a": "y"}', "'a' is there twice"),
        ("a.json", '["s3cret"]', "write names and their values"),
        ("a.json", "[" * 100_000, "a.json: "),
        ("a.toml", "a = s3cret", "line 1, column 5"),
        ("a.yaml", "a: 's3cret\n b: [", "line 2, column 6: it is no YAML"),
        ("a.yaml", "a: s3cret\nb: c\n'a': y", "line 3, column 1: 'a' is there twice"),
        ("a.yaml", "l: [{a: s3cret, a: y}]", "line 1, column 17: 'a' is there twice"),
        ("a.yaml", "1: s3cret", "write names and their values"),
        ("a.yaml", "s3cret", "write names and their values"),
        ("a.yaml", "a: !!python/object:os.system s3cret", "it is no YAML"),
        ("a.hcl", "s3cret", "its name ends in .json, .toml, .yaml, .yml"),
        (".", "", "Is a directory"),
        ("none.json", "", "No such file"),
    ],
)
def test_what_is_wrong_is_a_sentence_without_a_value(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        var_files.read(tmp_path / name)
    assert str(caught.value).startswith(f"--var-file {tmp_path / name}: ")
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(), ending=st.sampled_from(["json", "toml", "yaml"]))
def test_any_bytes_are_values_or_a_sentence(tmp_path: Path, data: bytes, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(data)
    try:
        found = var_files.read(path)
    except ConfigurationError:
        return
    assert all(isinstance(name, str) for name in found)
