"""The corpus: every template comes to what stands beside it, and what Packer makes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import packer
from tests.packer import corpus, peer
from tests.packer.differences import REFUSED

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("template", [*corpus.GOOD, *corpus.BROKEN], ids=lambda p: p.stem)
def test_a_template_comes_to_what_stands_beside_it(template: Path) -> None:
    assert corpus.outcome(template) == corpus.expectation(template).read_text("utf-8")


def test_no_expectation_is_of_a_template_that_is_gone() -> None:
    beside = {corpus.expectation(template) for template in (*corpus.GOOD, *corpus.BROKEN)}
    assert beside == {*corpus.FOLDER.rglob("*.plan"), *corpus.FOLDER.rglob("*.error")}


@pytest.mark.parametrize("template", corpus.GOOD, ids=lambda p: p.stem)
def test_packer_renders_the_same(template: Path, tmp_path: Path) -> None:
    raw = json.loads(template.read_bytes())
    theirs, ours = peer.values(peer.echo(raw), tmp_path, corpus.given(template))
    assert ours == theirs
    if all(builder["type"] == "null" for builder in raw["builders"]):
        assert peer.accepts(template)


@pytest.mark.parametrize("template", corpus.GOOD, ids=lambda p: p.stem)
def test_packer_reads_the_same(template: Path) -> None:
    listed = peer.inspect(template)
    read = packer.read(template.read_bytes(), template.name)
    secrets = {variable.default for variable in read.variables.values() if variable.sensitive}
    variables = {
        (
            variable.name,
            "<sensitive>" if variable.default in secrets else variable.default or "",
            "1" if variable.default is None else "0",
        )
        for variable in read.variables.values()
    }
    assert set(listed.get("template-variable", [])) == variables
    assert set(listed["template-builder"]) == {(b.name, b.type) for b in read.builders}
    assert listed.get("template-provisioner", []) == [(p.type,) for p in read.provisioners]


@pytest.mark.parametrize("template", corpus.BROKEN, ids=lambda p: p.stem)
def test_packer_refuses_the_same(template: Path) -> None:
    assert peer.accepts(template) == (template.stem in REFUSED)
