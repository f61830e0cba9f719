"""Declarations of variables, and what stands for them in texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigurationError
from harness.secret import Secret
from harness.variables import filled, names_in, var, variables_in


@pytest.mark.parametrize(
    ("default", "kind"),
    [("a", str), (1, int), (0.5, float), (True, bool), (Path("a"), Path), (["a"], list)],
)
def test_the_default_says_what_it_is_of(default: object, kind: type) -> None:
    assert var("a", default=default).type is kind
    assert var("a").type is str
    assert var("a", default=None).type is str


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: var("a-b"), "var('a-b'): a variable's name is of letters, digits and _"),
        (lambda: var("class"), "is no word of Python's"),
        (lambda: var("_a"), "begins with a letter"),
        (lambda: var(1), "var(1): a variable's name"),  # type: ignore[arg-type]  # that is the point
        (lambda: var("a", type=dict), "there are str, int, float, bool, Path, list"),
        (lambda: var("a", type=int, default="x"), "'x' (from its default) is not a whole number"),
        (lambda: var("a", type=int, sensitive=True), "what is sensitive is a text, or a list"),
        (lambda: var("a", sensitive=True, default=5), "leave out one of the two"),
        (lambda: var("a", type=str, sensitive=True, default=5), r"'a': *** (from its default)"),
    ],
)
def test_a_wrong_declaration_is_refused(declare: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        declare()
    assert message in str(caught.value)


def test_it_is_no_text_by_accident() -> None:
    region = var("region", default="s3cret", sensitive=True)
    assert repr(region) == "var('region')"
    for accident in (str, "web-{}".format, "{:>5}".format):
        with pytest.raises(ConfigurationError, match=r"write \"\{var.region\}\" in a text of one"):
            accident(region)


def test_declarations_are_alike_wherever_they_stand() -> None:
    one = var("a", default=["x"])
    two = var("a", default=["x"])
    assert one.place != two.place
    assert one == two != var("a")
    assert {one, two} == {one}


def test_they_and_their_names_are_found_however_deep() -> None:
    a, b = var("a"), var("b")
    value = {"{var.key}": [a, ("{var.x}", {"k": b})], "c": Path("/{var.y}")}
    assert [*variables_in(value)] == [a, b]
    assert [*names_in(value)] == ["key", "x", "y"]
    itself: dict[str, Any] = {"a": a}
    itself["itself"] = [itself]
    assert [*variables_in(itself)] == [a]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{var.a}", "<a>"),
        ("x{var.a}{var.b}y", "x<a><b>y"),
        ('{"count": {var.a}}', '{"count": <a>}'),
        ("{{var.a}}", "{{var.a}}"),
        ("{{{var.a}}}", "{{{var.a}}}"),
        (
            "{timestamp} {params.a} {} {{x}} $var.a {var}",
            "{timestamp} {params.a} {} {{x}} $var.a {var}",
        ),
        ("{var.}", "<>"),
        ("{var.a b!r}", "<a b!r>"),
    ],
)
def test_what_is_replaced_in_a_text(text: str, expected: str) -> None:
    assert filled(text, lambda name: f"<{name}>") == expected


@given(st.text())
def test_other_texts_stay_as_they_are(text: str) -> None:
    if "{var." not in text:
        assert filled(text, lambda _: "?") == text
    assert filled(text.replace("{var.", ""), lambda _: "?") == text.replace("{var.", "")


def test_a_secret_is_no_place_for_one() -> None:
    assert [*names_in(Secret("{var.a}"))] == []
