"""Each difference from Packer is one: where Packer changes, or we do, the list is wrong."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness import packer
from harness.errors import TemplateError
from tests.packer import corpus, peer
from tests.packer.differences import REFUSED, TEXTS, VARIABLES, VERDICTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.packer.differences import Text


def prepare(content: bytes, given: dict[str, str] | None = None) -> packer.Prepared:
    return packer.prepare(packer.read(content, "t.json"), given or {}, corpus.facts(corpus.GOOD[0]))


def ours(text: Text) -> str | None:
    template = {
        "variables": VARIABLES,
        "builders": [{"type": "null"}],
        "provisioners": [{"type": "shell-local", "x": text.text}],
    }
    try:
        plan = prepare(json.dumps(template).encode()).plan("null")
    except TemplateError:
        return None
    return packer.as_text(corpus.filled(plan.provisioners[0].component.options["x"]))


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.text)
def test_what_we_make_of_a_text(text: Text) -> None:
    assert ours(text) == text.ours != text.theirs


def test_what_packer_makes_of_the_texts(tmp_path: Path) -> None:
    template = peer.of_texts([text.text for text in TEXTS], VARIABLES, everything=True)
    theirs = peer.build(template, tmp_path, {})
    files = [theirs[f"null.p1.{index}.out"] for index in range(len(TEXTS))]
    assert files == [text.theirs for text in TEXTS]


@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts(name: str, tmp_path: Path) -> None:
    verdict = VERDICTS[name]
    (tmp_path / "t.json").write_text(verdict.template, "utf-8")
    assert peer.accepts(tmp_path / "t.json") == verdict.theirs
    try:
        prepare(verdict.template.encode()).plan("null")
    except TemplateError:
        assert verdict.theirs
    else:
        assert not verdict.theirs


def test_every_refusal_has_its_template() -> None:
    assert REFUSED.keys() <= {template.stem for template in corpus.BROKEN}


def test_lists_in_overrides(tmp_path: Path) -> None:
    inline = ["echo one > one", "echo two > two"]
    step: dict[str, Any] = {"type": "shell-local", "inline": inline}
    step["override"] = {"null": {"inline": ["echo 1 > one"]}}
    template = {"builders": [{"type": "null", "communicator": "none"}], "provisioners": [step]}
    (tmp_path / "t.json").write_text(json.dumps(template), "utf-8")
    assert peer.run("build", tmp_path / "t.json").returncode == 0
    assert (tmp_path / "one").read_text() == "1\n"
    assert (tmp_path / "two").read_text() == "two\n"
    plan = prepare(json.dumps(template).encode()).plan("null")
    assert plan.provisioners[0].component.options["inline"].plain() == ["echo 1 > one"]


def test_large_numbers(tmp_path: Path) -> None:
    big = 2**60 + 1
    (tmp_path / "t.json").write_text(json.dumps({"builders": [{"type": "null", "name": big}]}))
    assert peer.inspect(tmp_path / "t.json")["template-builder"] == [
        ("1152921504606847000", "null")
    ]
    assert list(prepare((tmp_path / "t.json").read_bytes()).builders) == [str(big)]


def test_given_values_that_use_variables(tmp_path: Path) -> None:
    template = peer.of_texts(["{{user `b`}}"], {"a": "", "b": "{{user `c` | upper}}", "c": ""})
    (tmp_path / "t.json").write_text(json.dumps(template), "utf-8")
    result = peer.run("validate", tmp_path / "t.json", "-var=a=x", "-var=c={{lower `Y`}}")
    assert result.returncode == 1
    assert re.search(r'function "LOWER" not\s+defined', result.stdout + result.stderr)
    prepared = prepare((tmp_path / "t.json").read_bytes(), {"a": "x", "c": "{{lower `Y`}}"})
    assert prepared.variables["b"] == "Y"


def test_null_for_a_builder(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"builders": [null]}', "utf-8")
    assert "PACKER CRASH" in peer.run("validate", tmp_path / "t.json").stdout
    with pytest.raises(TemplateError, match=r"^t\.json:1:15: builder 1 is null; it should be an"):
        prepare((tmp_path / "t.json").read_bytes())


def test_an_unset_variable_of_the_environment(tmp_path: Path) -> None:
    variables = {"a": "{{env `NOT_SET`}}", "b": "{{or (env `NOT_SET`) `b`}}"}
    texts = ["[{{user `a`}}]", "[{{user `b`}}]"]
    template = peer.of_texts(texts, variables, everything=True)
    theirs = peer.build(template, tmp_path, {})
    assert [theirs[f"null.p1.{index}.out"] for index in range(2)] == ["[]", "[b]"]
    ours = peer.of_texts(texts[1:], variables)
    assert prepare(json.dumps(ours).encode()).plan("null").provisioners
    with pytest.raises(TemplateError, match="NOT_SET is not set in the environment"):
        prepare(json.dumps(peer.of_texts(texts, variables)).encode()).plan("null")
