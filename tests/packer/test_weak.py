"""Weak typing: what 1.6.6 was seen to take for an option of each type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness import packer
from harness.errors import TemplateError
from harness.packer import durations, reader
from tests.packer import corpus

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.packer import Value


def value(data: object) -> Value:
    return reader.read(json.dumps(data).encode(), "t.json")


@pytest.mark.parametrize(
    ("convert", "data", "result"),
    [
        (packer.as_text, "a", "a"),
        (packer.as_text, 8, "8"),
        (packer.as_text, 1.50, "1.5"),
        (packer.as_text, 1e21, "1000000000000000000000"),
        (packer.as_text, 1e-7, "0.0000001"),
        (packer.as_text, 2.0, "2"),
        (packer.as_text, True, "1"),
        (packer.as_text, False, "0"),
        (packer.as_text, None, ""),
        (packer.as_bool, True, True),
        (packer.as_bool, "true", True),
        (packer.as_bool, "T", True),
        (packer.as_bool, "1", True),
        (packer.as_bool, "False", False),
        (packer.as_bool, "", False),
        (packer.as_bool, 2, True),
        (packer.as_bool, 0.5, True),
        (packer.as_bool, 0, False),
        (packer.as_bool, None, False),
        (packer.as_int, 22, 22),
        (packer.as_int, 22.7, 22),
        (packer.as_int, -22.7, -22),
        (packer.as_int, "22", 22),
        (packer.as_int, "-22", -22),
        (packer.as_int, "0x16", 22),
        (packer.as_int, "0b11", 3),
        (packer.as_int, "010", 8),
        (packer.as_int, "0o10", 8),
        (packer.as_int, "1_0", 10),
        (packer.as_int, "", 0),
        (packer.as_int, True, 1),
        (packer.as_int, None, 0),
        (packer.as_float, "0.05", 0.05),
        (packer.as_float, 3, 3.0),
        (packer.as_float, "", 0.0),
        (packer.as_duration, "1h30m", 5400.0),
        (packer.as_duration, "1.5s", 1.5),
        (packer.as_duration, "100us", 1e-4),
        (packer.as_duration, "100µs", 1e-4),
        (packer.as_duration, ".5m", 30.0),
        (packer.as_duration, "+3ns", 3e-9),
        (packer.as_duration, "0", 0.0),
        (packer.as_duration, None, 0.0),
    ],
)
def test_conversions(convert: Callable[[Value], Any], data: object, result: object) -> None:
    converted = convert(value(data))
    assert converted == pytest.approx(result)
    assert type(converted) is type(result)


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (["a", 1, None], ("a", "1", "")),
        ("a,b", ("a", "b")),
        ("a, b,", ("a", " b", "")),
        ("", ()),
        ([], ()),
        (5, ("5",)),
        (True, ("1",)),
        (None, ()),
        ({}, ()),
    ],
)
def test_lists(data: object, result: tuple[str, ...]) -> None:
    assert packer.as_list(value(data), packer.as_text) == result


def test_objects_are_lists_of_one() -> None:
    found = packer.as_list(value({"a": "1"}), lambda v: packer.as_mapping(v, packer.as_int))
    assert found == ({"a": 1},)


@pytest.mark.parametrize(
    ("data", "result"),
    [
        ({"a": 1}, {"a": "1"}),
        ([{"a": 1}, {"b": 2, "a": 3}], {"a": "3", "b": "2"}),
        ([], {}),
        (None, {}),
    ],
)
def test_mappings(data: object, result: dict[str, str]) -> None:
    assert packer.as_mapping(value(data), packer.as_text) == result


@pytest.mark.parametrize(
    ("convert", "data", "message"),
    [
        (packer.as_text, ["a"], "1:1: a list stands where a string should be"),
        (packer.as_text, {}, "1:1: an object stands where a string should be"),
        (packer.as_bool, "yes", "1:1: a string stands where true or false should be"),
        (packer.as_bool, "tRue", "1:1: a string stands where true or false should be"),
        (packer.as_bool, [], "1:1: a list stands where true or false should be"),
        (packer.as_int, "22.7", "1:1: a string stands where a whole number should be"),
        (packer.as_int, " 22", "1:1: a string stands where a whole number should be"),
        (packer.as_int, "09", "1:1: a string stands where a whole number should be"),
        (packer.as_int, "1__0", "1:1: a string stands where a whole number should be"),
        (packer.as_int, 2**63, "1:1: this number is too large"),
        (packer.as_int, "9" * 5000, "1:1: this number is too large"),
        (packer.as_float, "1e", "1:1: a string stands where a number should be"),
        (packer.as_duration, "5", "1:1: '5' is no duration"),
        (packer.as_duration, "", "1:1: '' is no duration"),
        (packer.as_duration, "1d", "1:1: '1d' is no duration"),
        (packer.as_duration, "-1s", "1:1: '-1s' is no duration"),
        (packer.as_duration, 5, '1:1: this number would be nanoseconds: write "5s" for seconds'),
        (packer.as_duration, True, "1:1: a boolean stands where a duration"),
    ],
)
def test_what_is_refused(convert: Callable[[Value], Any], data: object, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        convert(value(data))
    assert str(caught.value).startswith(f"t.json:{message}")


def test_a_duration_has_a_unit() -> None:
    with pytest.raises(ValueError, match=r"'90' is no duration: write \"90s\""):
        durations.seconds("90")


def deferred(text: str) -> Value:
    """An option of a provisioner."""
    template = {"builders": [{"type": "null"}], "provisioners": [{"type": "shell", "x": [text]}]}
    read = packer.read(json.dumps(template).encode(), "t.json")
    plan = packer.prepare(read, {}, corpus.facts(corpus.GOOD[0])).plan("null")
    return plan.provisioners[0].component.options["x"]


def test_fields_are_filled_in_when_used() -> None:
    option = deferred("{{if .Sudo}}sudo {{end}}sh {{.Path}} {{build `Port` | printf `%v`}}")
    fields = {"Sudo": True, "Path": "/tmp/x {{.Sudo}}", "Port": 22, "Other": ""}
    rendered = packer.render(option, fields)
    assert packer.as_list(rendered, packer.as_text) == ("sudo sh /tmp/x {{.Sudo}} 22",)
    rendered = packer.render(option, fields | {"Sudo": False})
    assert packer.as_list(rendered, packer.as_text)[0].startswith("sh ")


def test_what_fields_a_text_waits_for_is_known() -> None:
    entries = deferred("{{if .Sudo}}{{build `ID`}}{{else}}{{upper .Path}}{{end}}").data
    assert isinstance(entries, tuple)
    assert isinstance(entries[0].data, packer.DeferredText)
    assert entries[0].data.fields == {"Sudo", "ID", "Path"}


def test_a_field_that_is_not_known_is_said() -> None:
    with pytest.raises(
        TemplateError, match=r"the field 'Pth' is not known here; did you mean 'Path'"
    ):
        packer.render(deferred("sh {{.Pth}}"), {"Path": "", "Vars": ""})
    with pytest.raises(TemplateError, match=r"the field 'Path' is not known here; there are none"):
        packer.as_list(deferred("sh {{.Path}}"), packer.as_text)
