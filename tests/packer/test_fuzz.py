"""Whatever bytes a template has: a plan, or an error that says where; never for long."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import packer
from harness.errors import TemplateError
from tests.packer import corpus, heavy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Far beyond the second that it should take, for a computer that is busy: what hangs is found.
GENEROUS = settings(deadline=timedelta(seconds=20))

FIELDS = dict.fromkeys(("A", "Path", "Vars", "ID", "Host"), "")
SEEDS = [path.read_bytes() for path in (*corpus.GOOD, *corpus.BROKEN)]
TOKENS = [
    *("{{", "}}", "{{-", "-}}", "{", "(", ")", "|", " ", "\n", "`", '"', "\\", "\\u00e9", ".", "-"),
    *("user", "`a`", '"a"', ".A", ".Path", "if ", "else ", "end", "and ", "or ", "eq ", "not "),
    *("printf ", "`%s`", "`%d`", "split ", "replace_all ", "upper ", "isotime ", "build ", "`ID`"),
    *(
        "0",
        "1",
        "-1",
        "true",
        "/*",
        "*/",
        "{{end}}",
        "{{else}}",
        "$",
        ":=",
        "range",
        "ü",
        "\U0001f600",
    ),
]
PARTS = [
    *("{", "}", "[", "]", ",", ":", '"', "\\", "null", "true", "1", "-", "1e9", '""', "\n", " "),
    *('"builders"', '"type"', '"null"', '"name"', '"variables"', '"provisioners"', '"only"', '"a"'),
    *('"post-processors"', '"override"', '"{{user `a`}}"', '"timeout"', '"sensitive-variables"'),
    '{"builders": [{"type": "null"}]}',
]


def whole(content: bytes) -> None:
    """Do with a template all that can be done."""
    template = packer.read(content, "t.json")
    values = {variable.name: "given" for variable in template.variables.values()}
    for some in ({}, values):
        prepared = packer.prepare(template, some, corpus.facts(corpus.GOOD[0]))
        for name in list(prepared.builders)[:3]:
            plan = prepared.plan(name)
            steps = [*(step.component for step in plan.provisioners), plan.builder]
            for part in (*steps, *(link for chain in plan.post_processors for link in chain)):
                for value in part.options.values():
                    packer.render(value, FIELDS)


@GENEROUS
@given(st.binary(max_size=200))
def test_bytes(content: bytes) -> None:
    with contextlib.suppress(TemplateError):
        whole(content)


@GENEROUS
@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
def test_parts(text: str) -> None:
    with contextlib.suppress(TemplateError):
        whole(text.encode())


@GENEROUS
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 9), st.binary(max_size=6)), max_size=4),
)
def test_changed_templates(content: bytes, changes: Sequence[tuple[int, int, bytes]]) -> None:
    for at, length, new in changes:
        start = at % (len(content) + 1)
        content = content[:start] + new + content[start + length :]
    with contextlib.suppress(TemplateError):
        whole(content)


@GENEROUS
@given(st.lists(st.sampled_from(TOKENS), max_size=25).map("".join), st.booleans())
def test_expressions(text: str, variable: bool) -> None:
    template = {
        "variables": {"a": text if variable else "x"},
        "builders": [{"type": "null"}],
        "provisioners": [{"type": "shell", "inline": ["{{user `a`}}" if variable else text]}],
    }
    with contextlib.suppress(TemplateError):
        whole(json.dumps(template).encode())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["null", "1s", "", "{{"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
KEYS = [
    *("name", "only", "except", "override", "timeout", "max_retries", "keep_input_artifact"),
    *("iso_checksum_type", "iso_md5", "ssh_private_ip", "x"),
]
COMPONENTS = st.lists(
    JSON
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["null", "amazon-ebs", "qemu", "manifest"]) | JSON},
        optional=dict.fromkeys(KEYS, JSON),
    ),
    max_size=3,
)


@GENEROUS
@given(
    st.fixed_dictionaries(
        {"builders": st.just([{"type": "null"}]) | COMPONENTS},
        optional={
            "provisioners": COMPONENTS | JSON,
            "post-processors": COMPONENTS | JSON,
            "variables": st.dictionaries(st.sampled_from("ab"), JSON) | JSON,
            "sensitive-variables": JSON,
            "error-cleanup-provisioner": JSON,
            "min_packer_version": JSON,
        },
    )
)
def test_shapes(template: object) -> None:
    with contextlib.suppress(TemplateError):
        whole(json.dumps(template).encode())


@pytest.fixture
def alarm() -> Iterator[None]:
    """What hangs is ended; as generous as the deadlines here."""

    def ring(*_: object) -> None:
        raise TimeoutError("this would take for ever")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("name", heavy.FILES)
def test_heavy_files(name: str) -> None:
    """Each ends, and what is said of it is short."""
    said = ""
    try:
        whole(heavy.FILES[name])
    except TemplateError as error:
        said = str(error)
    assert len(said) < 2000


@GENEROUS
@given(JSON, st.sampled_from(["text", "bool", "int", "float", "duration", "list", "mapping"]))
def test_conversions(data: object, kind: str) -> None:
    content = json.dumps({"builders": [{"type": "null", "x": data}]}).encode()
    with contextlib.suppress(TemplateError):
        value = packer.read(content, "t.json").builders[0].options["x"]
        convert = getattr(packer, f"as_{kind}")
        arguments = [packer.as_text] if kind in ("list", "mapping") else []
        convert(value, *arguments)


def test_facts_show_no_environment() -> None:
    """It has secrets in it."""
    facts = corpus.facts(corpus.GOOD[0])
    assert corpus.ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in repr(dataclasses.replace(facts))
