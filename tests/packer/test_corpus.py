"""The corpus: every template comes to what stands beside it, and what Packer makes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

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
    assert peer.run("inspect", template).returncode == 0
    raw = json.loads(template.read_bytes())
    theirs, ours = peer.values(peer.echo(raw), tmp_path, corpus.given(template))
    assert ours == theirs
    if all(builder["type"] == "null" for builder in raw["builders"]):
        assert peer.accepts(template)


@pytest.mark.parametrize("template", corpus.BROKEN, ids=lambda p: p.stem)
def test_packer_refuses_the_same(template: Path) -> None:
    assert peer.accepts(template) == (template.stem in REFUSED)
