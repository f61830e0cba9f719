"""The corpus: templates in the style of real ones, each with what it should come to beside it.

`tests/packer_templates/NAME.json` has `NAME.plan`; those in `broken/` have `NAME.error`. A file
`NAME.vars.json` holds given values. After a change that is meant, this writes all expectations
anew, to be read in the diff::

    python -m tests.packer.corpus
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import packer
from harness.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.packer import Component, Plan, Prepared, Step, Value

FOLDER = Path(__file__).parent.parent / "packer_templates"
GOOD = sorted(p for p in FOLDER.glob("*.json") if not p.name.endswith(".vars.json"))
BROKEN = sorted(FOLDER.glob("broken/*.json"))

STARTED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ENVIRONMENT = {
    "HOME": "/home/me",
    "FLAVOUR": "small",
    "AWS_ACCESS_KEY_ID": "AKIA0000",
    "AWS_SECRET_ACCESS_KEY": "not/a+secret",
}


def facts(
    template: Path, started: datetime = STARTED, folder: Path = Path("/srv/images")
) -> packer.Facts:
    """Those of the corpus; a template is in the working directory."""
    return packer.Facts(started, folder, Path(template.name), ENVIRONMENT, lambda: "uuid")


def given(template: Path) -> dict[str, str]:
    """The values that belong to a template."""
    file = template.with_suffix(".vars.json")
    values: dict[str, str] = json.loads(file.read_bytes()) if file.exists() else {}
    return values


def prepare(template: Path) -> Prepared:
    """A template of the corpus with its values."""
    read = packer.read(template.read_bytes(), template.name)
    return packer.prepare(read, given(template), facts(template))


def outcome(template: Path) -> str:
    """The text of the file beside a template."""
    try:
        prepared = prepare(template)
        lists = {"warnings": prepared.template.warnings, "secrets": prepared.secrets}
        shown = {name: list(value) for name, value in lists.items() if value}
        plans = {name: _plan(prepared.plan(name)) for name in prepared.builders}
    except TemplateError as error:
        return f"{error}\n"
    return json.dumps({**shown, "builds": plans}, indent=2, ensure_ascii=False) + "\n"


def expectation(template: Path) -> Path:
    """The file beside a template."""
    return template.with_suffix(".error" if template in BROKEN else ".plan")


def _plan(plan: Plan) -> dict[str, Any]:
    cleanup = {"error_cleanup": _step(plan.error_cleanup)} if plan.error_cleanup else {}
    chains = [
        [
            {
                "name": link.name,
                "keep_input_artifact": link.keep_input_artifact,
                **_component(link),
            }
            for link in chain
        ]
        for chain in plan.post_processors
        if chain
    ]
    return {
        **_component(plan.builder),
        "provisioners": [_step(step) for step in plan.provisioners],
        **cleanup,
        "post_processors": chains,
    }


def _step(step: Step) -> dict[str, Any]:
    meta = {
        name: value
        for name in ("pause_before", "timeout", "max_retries")
        if (value := getattr(step, name))
    }
    return {**_component(step.component), **meta}


def _component(component: Component) -> dict[str, Any]:
    options = {name: filled(value).plain() for name, value in component.options.items()}
    return {"type": component.type, "options": options}


def filled(value: Value) -> Value:
    """The value with a field's name in angle brackets where the field is."""
    return packer.render(value, {name: f"<{name}>" for name in _fields(value)})


def _fields(value: Value) -> Iterator[str]:
    for text in text_values([value]):
        if isinstance(text.data, packer.DeferredText):
            yield from text.data.fields


def text_values(values: Iterable[Value]) -> Iterator[Value]:
    """All texts in values, at any depth."""
    for value in values:
        if isinstance(value.data, str | packer.DeferredText):
            yield value
        else:
            yield from text_values(nested(value))


def nested(value: Value) -> Iterable[Value]:
    """What a list or object holds."""
    return value.data if isinstance(value.data, tuple) else value.entries().values()


if __name__ == "__main__":
    for path in (*GOOD, *BROKEN):
        expectation(path).write_text(outcome(path), "utf-8")
