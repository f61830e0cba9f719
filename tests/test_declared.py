"""Whose a variable is: a module's, or a build's."""

from __future__ import annotations

from typing import Any

from harness.declared import Declared
from harness.definition import BuildDefinition, Origin
from harness.testing import FakeSource
from harness.variables import MADE, Variable, var


def definition(name: str, *sources: FakeSource) -> BuildDefinition:
    function = lambda _machine: None  # noqa: E731 - it stands for the author's
    origin = Origin.of(function)
    return BuildDefinition(name, function, sources, origin, origin.file.parent)


def known(declared: Declared, build: str) -> list[str]:
    return sorted(declared.of_build(build))


def test_what_a_name_holds_is_the_modules_and_what_an_option_has_is_the_builds() -> None:
    held, bare, used, own = (var(name) for name in ("held", "bare", "used", "own"))
    made: list[Variable] = [held, bare, used, own]
    names: dict[str, Any] = {"HELD": [held], "USED": used, MADE: made}
    builds = [
        definition("a", FakeSource(params={"x": used, "y": own}), FakeSource(name="b")),
        definition("c", FakeSource()),
    ]
    declared = Declared.of(names, builds)
    assert known(declared, "a.fake") == ["bare", "held", "own", "used"]
    assert known(declared, "a.b") == known(declared, "c.fake") == ["bare", "held", "used"]
    assert sorted(declared.all()) == ["bare", "held", "own", "used"]
    assert list(declared.problems()) == []


def test_a_name_stands_for_one_thing_in_a_module() -> None:
    one, other = var("a"), var("a", default="x")
    builds = [definition("b", FakeSource(params={"x": one})), definition("c", FakeSource())]
    assert not [*Declared.of({"A": var("a")}, builds).problems()], "the same, said twice"
    (problem,) = Declared.of({"A": other}, builds).problems()
    assert f"is declared in two ways, at {other.place} and at {one.place}" in problem


def test_a_text_names_what_its_build_knows() -> None:
    build = definition("b", FakeSource(prints="{var.a} {var.aa}"), FakeSource(name="c"))
    (problem,) = Declared.of({"A": var("a")}, [build]).problems()
    assert problem == (
        "b.fake: prints has {var.aa}, and there is no such variable: did you mean 'a'?"
    )
