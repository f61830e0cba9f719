"""What is given for variables: what counts, and what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigurationError, UnknownVariableError
from harness.given import Given, Namespace, Value, Variables
from harness.secret import Secret
from harness.var_files import VarFile
from harness.variables import var

if TYPE_CHECKING:
    from harness.variables import Variable


LAYERS = ["default", "[tool.harness.variables]", "A_ENV", "HARNESS_VAR_a", "one", "two", "--var"]


@pytest.mark.parametrize("strongest", range(len(LAYERS)))
def test_later_ones_win(strongest: int) -> None:
    known = LAYERS[: strongest + 1]
    given = Given(
        {"a": "[tool.harness.variables]"} if "[tool.harness.variables]" in known else {},
        {name: name for name in ("A_ENV", "HARNESS_VAR_a") if name in known},
        [VarFile(name, {"a": name}) for name in ("one", "two") if name in known],
        {"a": "--var"} if "--var" in known else {},
    )
    assert given.find(var("a", default="default", env="A_ENV")) == Value(*[LAYERS[strongest]] * 2)


def test_an_empty_one_of_the_environment_is_none() -> None:
    given = Given(environ={"HARNESS_VAR_a": "", "A": ""})
    assert given.find(var("a", env="A")) is None
    assert Given(command_line={"a": ""}).find(var("a")) == Value("", "--var")


def test_none_is_a_value_where_it_is_the_default() -> None:
    assert Given().find(var("a", default=None)) == Value(None, "default")
    assert Given().find(var("a")) is None


def namespace(given: Given, *variables: Variable) -> Namespace:
    return Namespace({variable.name: variable for variable in variables}, given)


def test_values_are_attributes() -> None:
    known = namespace(
        Given(command_line={"region": "eu", "token": "s3cret"}),
        var("region"),
        var("token", sensitive=True),
        var("size", type=int, description="in GB", env="SIZE"),
    )
    variables = Variables(known)
    assert (variables.region, variables.token) == ("eu", Secret("s3cret"))
    assert repr(variables) == "Variables(region='eu', token='***')"
    assert dir(variables) == ["region", "size", "token"]
    with pytest.raises(UnknownVariableError, match=r"'regoin' here: did you mean 'region'\?"):
        _ = variables.regoin
    with pytest.raises(AttributeError, match="'zzz' here: there are region, size, token"):
        _ = variables.zzz
    assert not hasattr(variables, "_private")
    message = r"'size' \(in GB\) has no value: give --var size=VALUE, .*HARNESS_VAR_size or SIZE in"
    with pytest.raises(ConfigurationError, match=message):
        _ = variables.size
    with pytest.raises(AttributeError):
        variables.region = "us"  # type: ignore[attr-defined]  # that is the point
    assert [*known.secrets()] == [("the variable 'token'", Secret("s3cret"))]
    assert [v.name for v in known.missing()] == ["size"]


def test_a_list_cannot_be_changed_for_others() -> None:
    variables = Variables(namespace(Given(), var("a", default=["x"])))
    variables.a.append("y")
    assert variables.a == ["x"]


def test_nothing_of_it_is_shown_by_accident() -> None:
    given = Given(
        {"a": "s3cret"}, {"A": "s3cret"}, [VarFile("f", {"a": "s3cret"})], {"a": "s3cret"}
    )
    assert "s3cret" not in repr(namespace(given, var("a")))


def test_what_nobody_declares() -> None:
    given = Given(
        environ={"HARNESS_VAR_bbb": "s3cret", "HARNESS_VAR_b": "", "HARNESS_VAR_other": "s3cret"},
        files=[VarFile("--var-file f", {"a": 1, "b": 2})],
        command_line={"secert": "s3cret"},
    )
    assert [*given.undeclared(["a", "bb"])] == [
        "warning: --var-file f has 'b', which is no variable of the builds collected: "
        "did you mean 'bb'?",
        "warning: HARNESS_VAR_bbb is set, and 'bbb' is no variable of the builds collected: "
        "did you mean 'bb'?",
    ]
    with pytest.raises(ConfigurationError, match="did you mean 'secret'") as caught:
        given.refuse_undeclared(["secret"])
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="there are none at all"):
        given.refuse_undeclared([])
