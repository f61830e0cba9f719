"""What is given for a variable, as the type that it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import conversion
from harness.errors import ConfigurationError
from harness.secret import Secret
from harness.variables import var


def converted(given: Any, **options: Any) -> Any:
    return conversion.convert(var("a", **options), given, "--var-file a.json")


@pytest.mark.parametrize(
    ("given", "kind", "value"),
    [
        ("x", str, "x"),
        ("", str, ""),
        ("8", int, 8),
        (" -8 ", int, -8),
        (8, int, 8),
        ("0.5", float, 0.5),
        (1, float, 1.0),
        ("TRUE", bool, True),
        ("off", bool, False),
        ("0", bool, False),
        (True, bool, True),
        ("a/b", Path, Path("a/b")),
        ("~/a", Path, Path.home() / "a"),
        (Path("~/a"), Path, Path.home() / "a"),
        ("a, b,c", list, ["a", "b", "c"]),
        ("", list, []),
        ('["a,b", 1]', list, ["a,b", 1]),
        (["a", 1], list, ["a", 1]),
    ],
)
def test_what_is_given_becomes_the_variables_type(given: Any, kind: type, value: Any) -> None:
    found = converted(given, type=kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("given", "kind", "valid"),
    [
        ("~no-such-user-here/a", Path, "a path"),
        (12, str, "a text; in a file, quote it"),
        (True, str, "a text"),
        (None, str, "a text"),
        ("8.0", int, "a whole number, as in 8"),
        ("", int, "a whole number"),
        (8.0, int, "a whole number"),
        (True, int, "a whole number"),
        ("nan", float, "a number, as in 0.5"),
        (True, float, "a number"),
        ("maybe", bool, "true or false"),
        (1, bool, "true or false"),
        ("  ", Path, "a path"),
        ("[a", list, "a list: a,b or"),
        ({"a": 1}, list, "a list"),
    ],
)
def test_what_is_of_another_type_is_an_error(given: Any, kind: type, valid: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        converted(given, type=kind)
    start = f"the variable 'a': {given!r} (from --var-file a.json) is not {valid}"
    assert str(caught.value).startswith(start)


def test_what_is_sensitive_is_secret_and_no_error_shows_it() -> None:
    assert converted("s3cret", sensitive=True) == Secret("s3cret")
    assert converted("a,b", sensitive=True, type=list) == [Secret("a"), Secret("b")]
    assert converted([1, "b"], sensitive=True, type=list) == [Secret("1"), Secret("b")]
    with pytest.raises(ConfigurationError, match=r"'a': \*\*\* \(from") as caught:
        converted(12345678, sensitive=True)
    assert "12345678" not in str(caught.value)


def test_none_is_a_value_only_where_it_is_the_default() -> None:
    assert converted(None, default=None) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (8, "8"), ("a", "a"), (Path("a/b"), "a/b"), (["a", False], "a,false")],
)
def test_a_value_inside_a_text(value: object, text: str) -> None:
    assert conversion.text(value) == text
    assert conversion.text(Secret("s3cret")) == "s3cret"
    with pytest.raises(ValueError, match="None"):
        conversion.text(None)
