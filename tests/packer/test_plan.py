"""From a template to plans: variables, names, choices, overrides, chains."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from harness import packer
from harness.errors import ConfigurationError, TemplateError
from tests.packer import corpus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.packer import Component, Plan, Prepared

BUILDERS = [{"type": "null"}, {"type": "null", "name": "other"}]


def prepare(given: Mapping[str, str] | None = None, **entries: Any) -> Prepared:
    content = json.dumps({"builders": BUILDERS, **entries}).encode()
    return packer.prepare(packer.read(content, "t.json"), given or {}, corpus.facts(corpus.GOOD[0]))


def plan(name: str = "null", **entries: Any) -> Plan:
    return prepare(**entries).plan(name)


def options(component: Component) -> dict[str, Any]:
    return {name: value.plain() for name, value in component.options.items()}


def steps(plan: Plan) -> list[dict[str, Any]]:
    return [options(step.component) for step in plan.provisioners]


def test_an_error_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"^t\.json:1:1: "):
        packer.read(b"[]", "t.json")


def test_builders_choose_their_provisioners() -> None:
    provisioners = [
        {"type": "a", "n": 1},
        {"type": "a", "n": 2, "only": ["other"]},
        {"type": "a", "n": 3, "except": ["other"]},
        {"type": "a", "n": 4, "only": [], "except": []},
    ]
    assert steps(plan(provisioners=provisioners)) == [{"n": 1}, {"n": 3}, {"n": 4}]
    assert steps(plan("other", provisioners=provisioners)) == [{"n": 1}, {"n": 2}, {"n": 4}]


def test_an_override_replaces_lists_and_merges_objects() -> None:
    override = {"null": {"list": ["x"], "object": {"b": 3, "c": 4}, "same": None, "type": "b"}}
    provisioner = {"type": "a", "list": [1, 2], "object": {"a": 1, "b": 2}, "same": 5}
    provisioners = [provisioner | {"override": override}]
    assert steps(plan(provisioners=provisioners)) == [
        {"list": ["x"], "object": {"a": 1, "b": 3, "c": 4}, "same": 5}
    ]
    assert steps(plan("other", provisioners=provisioners)) == [
        {"list": [1, 2], "object": {"a": 1, "b": 2}, "same": 5}
    ]


CHAIN: list[Any] = [["one", {"type": "two", "name": "2nd", "except": ["other"]}, "three"], "four"]


def links(plan: Plan) -> list[list[str]]:
    return [[link.type for link in chain] for chain in plan.post_processors]


def test_chains_of_post_processors() -> None:
    chains: dict[str, Any] = {"post-processors": CHAIN}
    assert links(plan(**chains)) == [["one", "two", "three"], ["four"]]
    assert links(plan("other", **chains)) == [["one", "three"], ["four"]]


def test_the_command_lines_except_ends_a_chain() -> None:
    prepared = prepare(None, **{"post-processors": CHAIN})
    assert links(prepared.plan("null", ["2nd"])) == [["one"], ["four"]]
    assert links(prepared.plan("null", ["one", "four"])) == [[], []]
    assert links(prepared.plan("other", ["2nd"])) == [["one", "three"], ["four"]]


@pytest.mark.parametrize(
    ("only", "except_", "left"),
    [
        ([], [], ["null", "other"]),
        (["other"], [], ["other"]),
        ([], ["other"], ["null"]),
        (["other", "null"], ["null"], ["other"]),
        (["oth*"], [], []),
    ],
)
def test_the_command_line_chooses_by_whole_names(
    only: list[str], except_: list[str], left: list[str]
) -> None:
    assert packer.selected(list(prepare().builders), only, except_) == left


def test_given_values_win_and_may_have_expressions() -> None:
    variables = {"a": "default", "b": "{{user `a`}}!", "c": None}
    prepared = prepare({"a": "{{upper `x`}}", "c": "", "undeclared": "u"}, variables=variables)
    assert prepared.variables == {"a": "X", "b": "X!", "c": "", "undeclared": "u"}


UNSET = {"a": "[{{env `NOT_SET` | upper}}]", "b": "{{user `a`}}!", "c": "c"}


@pytest.mark.parametrize(
    "text", ["{{user `a`}}", "{{.F}}{{user `b`}}", "{{if .F}}{{user `a`}}{{end}}"]
)
def test_an_unset_variable_of_the_environment_is_missing_where_it_is_used(text: str) -> None:
    steps = [{"type": "x", "t": "{{user `c`}}"}, {"type": "x", "only": ["other"], "t": text}]
    prepared = prepare(variables=UNSET, provisioners=steps)
    assert prepared.plan("null").provisioners
    with pytest.raises(
        TemplateError,
        match=r"the variable 'a' has no value, since NOT_SET is not set in the environment: "
        r"set it, to nothing if that is meant, or give it with --var a=",
    ):
        prepared.plan("other")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{or (env `NOT_SET`) `x`}}", "x"),
        ("{{upper (or (lower (env `NOT_SET`)) `x`)}}", "X"),
        ("{{if env `NOT_SET`}}{{env `NOT_SET`}}{{else}}x{{end}}", "x"),
        ("{{eq (env `NOT_SET`) ``}}", "true"),
        ("{{or (user `a`) `x`}}", "x"),
        ("{{if user `a`}}{{user `a`}}{{else}}x{{end}}", "x"),
    ],
)
def test_a_decision_may_be_about_what_is_not_set(text: str, value: str) -> None:
    assert prepare(variables={**UNSET, "d": text}).variables["d"] == value


def test_secrets_are_known_and_errors_do_not_show_them() -> None:
    entries: dict[str, Any] = {"sensitive-variables": ["password", "none"]}
    variables = {"password": "hunter2 {{`x`}}", "none": "", "name": "web"}
    assert prepare(variables=variables, **entries).secrets == ("hunter2 x",)
    with pytest.raises(TemplateError, match=r"t\.json:1:\d+: there is no function 'x'") as caught:
        prepare(variables=variables | {"password": "hunter2 {{x}}"}, **entries)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(TemplateError, match=r"^t\.json: the value given for variable 'password', "):
        prepare({"password": "hunter2 {{"}, variables=variables, **entries)


@pytest.mark.parametrize(
    "text", ["{{split (%) `-` 1}}", "{{eq (%) 1}}", "{{printf `%d` (%)}}", "{{printf `` (%)}}"]
)
def test_functions_show_no_values(text: str) -> None:
    provisioners = [{"type": "a", "x": text.replace("(%)", "(user `p`)")}]
    prepared = prepare({"p": "hunter2"}, variables={"p": ""}, provisioners=provisioners)
    with pytest.raises(TemplateError) as caught:
        prepared.plan("null")
    assert "hunter2" not in str(caught.value)


def test_variables_with_fields_are_kept_to_the_end() -> None:
    variables = {
        "url": "http://{{.HTTPIP}}/{{user `file`}}",
        "file": "preseed",
        "all": "{{user `url`}}",
    }
    made = plan(variables=variables, provisioners=[{"type": "a", "x": "{{user `all` | upper}}"}])
    value = made.provisioners[0].component.options["x"]
    assert packer.as_text(packer.render(value, {"HTTPIP": "10.0.2.2"})) == "HTTP://10.0.2.2/PRESEED"


def test_names_in_options_may_have_expressions() -> None:
    provisioners = [{"type": "a", "tags": {"{{user `k`}}": "me"}}]
    made = plan(variables={"k": "Owner"}, provisioners=provisioners)
    assert steps(made) == [{"tags": {"Owner": "me"}}]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"{{.Name}}": 1}, "1:109: a name cannot have fields: they are known too late"),
        ({"a": 1, "{{`a`}}": 1}, "1:117: this name comes to the same as one before it"),
        ({"{{nosuch}}": 1}, "1:112: there is no function 'nosuch'"),
    ],
)
def test_names_in_options_that_are_wrong(tags: dict[str, int], message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        plan(provisioners=[{"type": "a", "tags": tags}])
    assert str(caught.value).startswith(f"t.json:{message}")


def test_one_builders_mistake_is_not_the_others() -> None:
    content = json.dumps({"builders": [{"type": "null", "x": "{{wrong}}"}, {"type": "b"}]}).encode()
    read = packer.read(content, "t.json")
    prepared = packer.prepare(read, {}, corpus.facts(corpus.GOOD[0]))
    assert prepared.plan("b").name == "b"
    with pytest.raises(TemplateError, match="there is no function 'wrong'"):
        prepared.plan("null")


def test_each_uuid_is_made_anew() -> None:
    numbers = iter("12345")
    facts = packer.Facts(
        corpus.STARTED, corpus.FOLDER, corpus.GOOD[0], new_uuid=lambda: next(numbers)
    )
    content = json.dumps({"builders": [{"type": "null", "x": "{{uuid}}{{uuid}}"}]}).encode()
    prepared = packer.prepare(packer.read(content, "t.json"), {}, facts)
    assert options(prepared.plan("null").builder) == {"x": "12"}


@pytest.mark.parametrize("version", ["1.16.0", "1.16", "v1.9.4", "1.16.0-beta1", "", "0.0.0.1"])
def test_templates_for_our_version_and_earlier_ones(version: str) -> None:
    assert list(prepare(min_packer_version=version).builders) == ["null", "other"]


@pytest.mark.parametrize("version", ["1.17.0-beta1", "1.16.0.1", "2", "999999999999999999"])
def test_templates_for_later_versions(version: str) -> None:
    with pytest.raises(TemplateError, match=r"or later; we read 1\.16\.0's"):
        prepare(min_packer_version=version)


def test_we_are_the_version_that_we_say() -> None:
    made = plan(provisioners=[{"type": "a", "x": "{{packer_version}}"}])
    assert steps(made) == [{"x": packer.VERSION}]


@pytest.mark.parametrize(
    ("entries", "column"),
    [
        ({"provisioners": [{"x": 1, "type": "nosuch"}]}, 103),
        ({"post-processors": [["nosuch"]]}, 90),
        ({"post-processors": ["nosuch"]}, 89),
    ],
)
def test_an_error_of_a_component_points_at_its_type(entries: Any, column: int) -> None:
    made = plan(**entries)
    components = [*(step.component for step in made.provisioners), *sum(made.post_processors, ())]
    with pytest.raises(TemplateError, match=rf"^t\.json:1:{column}: there is no 'nosuch'\n"):
        raise components[0].error("there is no 'nosuch'")


def test_options_that_there_are_not_have_a_suggestion() -> None:
    made = plan(provisioners=[{"type": "a", "inlnie": []}]).provisioners[0].component
    with pytest.raises(TemplateError, match=r"step has no 'inlnie': did you mean 'inline'\?"):
        packer.refuse_unknown(made.options, ["inline", "script"], "step")
    packer.refuse_unknown(made.options, ["inlnie"], "step")


def test_a_comment_that_is_no_root_key_is_an_option_like_others() -> None:
    made = plan(provisioners=[{"type": "a", "_comment": "x"}]).provisioners[0].component
    with pytest.raises(TemplateError, match="has no '_comment': comments are keys of the root"):
        packer.refuse_unknown(made.options, ["inline"], "step")


def test_all_times_are_utc() -> None:
    local = corpus.STARTED.astimezone(timezone(timedelta(hours=5)))
    content = json.dumps({"builders": [{"type": "null", "x": "{{isotime}}"}]}).encode()
    facts = packer.Facts(local, corpus.FOLDER, corpus.GOOD[0])
    prepared = packer.prepare(packer.read(content, "t.json"), {}, facts)
    assert options(prepared.plan("null").builder) == {"x": "2026-01-02T03:04:05Z"}
