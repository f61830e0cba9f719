"""Generated expressions and variable files come to what Packer 1.6.6 makes of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness import packer
from harness.errors import TemplateError
from harness.packer.times import strftime
from tests.packer import corpus, peer, strategies

if TYPE_CHECKING:
    from pathlib import Path

# A process each: few examples, many expressions in each of them.
FEW = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes hundreds more
)


def accepted(text: str) -> bool:
    """Whether we render a text where a provisioner may have it."""
    try:
        of_text(text)
    except TemplateError:
        return False
    return True


def of_text(text: str) -> None:
    template = json.dumps(peer.of_texts([text], strategies.VARIABLES)).encode()
    prepared = packer.prepare(packer.read(template, "t.json"), {}, corpus.facts(corpus.GOOD[0]))
    prepared.plan("null")


@FEW
@given(strategies.BATCHES)
def test_expressions(tmp_path: Path, texts: list[str]) -> None:
    good = [text for text in texts if accepted(text)]
    theirs, ours = peer.values(peer.of_texts(good, strategies.VARIABLES), tmp_path, {})
    assert ours == theirs


@FEW
@given(strategies.BATCHES)
def test_wrong_expressions(tmp_path: Path, texts: list[str]) -> None:
    wrong = [text for text in texts if not accepted(text)]
    # The console says nothing of what is right but for the last line.
    assert peer.complaints(tmp_path, wrong, strategies.VARIABLES) == len(wrong)


@FEW
@given(
    st.dictionaries(strategies.NAMES, st.none() | strategies.DEFAULTS, min_size=1),
    st.lists(st.dictionaries(strategies.NAMES, strategies.VALUES), min_size=1, max_size=3),
    st.dictionaries(strategies.NAMES, strategies.VALUES),
)
def test_variable_files(
    tmp_path: Path,
    declared: dict[str, str | None],
    files: list[dict[str, str]],
    options: dict[str, str],
) -> None:
    """Later files beat earlier ones, and options beat all files."""
    merged = {name: value for file in files for name, value in file.items()} | options
    known = {*declared, *merged}
    template = peer.of_texts([f"{{{{user `{name}`}}}}" for name in sorted(known)], declared)
    arguments = [f"-var={name}={value}" for name, value in options.items()]
    for index, file in enumerate(files):
        (tmp_path / f"{index}.json").write_text(json.dumps(file), "utf-8")
        arguments.append(f"-var-file={index}.json")
    (tmp_path / "t.json").write_text(json.dumps(template), "utf-8")
    try:
        packer.prepare(
            packer.read((tmp_path / "t.json").read_bytes(), "t.json"),
            merged,
            corpus.facts(tmp_path / "t.json"),
        )
    except TemplateError:
        assert not peer.accepts(tmp_path / "t.json", *arguments)
        return
    theirs, ours = peer.values(template, tmp_path, merged, arguments)
    assert ours == theirs


def test_overrides_replace_texts(tmp_path: Path) -> None:
    """Of lists, Packer replaces the first entries alone; one of as many is replaced by both."""
    template = peer.of_texts(["{{build_name}}"], {})
    inline = template["provisioners"][1]["inline"]
    template["provisioners"][1]["override"] = {
        "null": {
            "inline": [line.replace("{{build_name}}", "over {{build_type}}") for line in inline]
        }
    }
    theirs, ours = peer.values(template, tmp_path, {})
    assert ours == theirs
    assert "over null" in ours.values()


@pytest.mark.parametrize("code", ["%q", "%Q", "%"])
def test_what_strftime_does_not_know_is_refused(code: str) -> None:
    if len(code) > 1:
        with pytest.raises(ValueError, match="strftime has no code"):
            strftime(corpus.STARTED, code)
    else:
        assert strftime(corpus.STARTED, code) == code
