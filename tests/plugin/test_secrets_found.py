"""Whoever looks for a variable's secret in all that a run shows and writes does not find it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from harness.masking import Masker
from tests.test_masking import FORMS, core

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
import base64, html, json, logging, shlex, sys, urllib.parse, warnings

TOKEN = harness.var("token", sensitive=True)
harness.var("keys", type=list, sensitive=True)
LINE = "<{var.token}>"

def forms(text):
    data = text.encode()
    return [
        text, repr(text), shlex.quote(text), json.dumps(text), json.dumps([text] * 2),
        urllib.parse.quote(text), urllib.parse.quote_plus(text), html.escape(text),
        base64.b64encode(data).decode(), base64.urlsafe_b64encode(b"xx" + data).decode(),
        base64.encodebytes(b"x" * 50 + data * 3).decode(),
        *(line for line in text.splitlines() if len(line.strip()) >= 8),
    ]

def say(variables):
    secrets = [variables.token, *variables.keys]
    return [form for secret in secrets for form in forms(secret.reveal())]

@harness.build(FakeSource(
    prints=LINE, params={"token": TOKEN, "text": LINE},
    answers={"agent": (0, LINE, LINE), "fail": (1, LINE, LINE)}, fails={"capture": LINE},
))
def web(machine, variables):
    print(variables, machine.source, machine.params)
    for form in say(variables):
        print(form)
        sys.stdout.write(form[:5])  # in two pieces
        sys.stdout.write(form[5:])
        logging.getLogger("x").warning("logged %s", form)
        machine.tell(form)
    machine.shell("agent", env={"TOKEN": variables.token})
    machine.run("agent %s", variables.token)
    machine.local('printf %s "$TOKEN"; printf %s "$TOKEN" | base64', env={"TOKEN": variables.token})

def test_speaks(web, variables, record_property):
    print(web.run("agent").stdout_bytes.decode())
    record_property("token", variables.token.reveal())
    for form in say(variables):
        print(form, file=sys.stderr)
        warnings.warn(form)

def test_fails(web, variables):
    revealed, shown = variables.token.reveal(), say(variables)
    assert {revealed: shown} == {revealed: [*shown, revealed]}, revealed

def test_skips(web, variables):
    pytest.xfail(variables.token.reveal())

@harness.build(FakeSource(name="b", answers={"fail": (1, LINE, LINE)}))
def broken(machine, variables):
    machine.shell("fail", env={"TOKEN": variables.token})

def test_broken(broken): pass

@harness.build(FakeSource(name="c"))
def angry(machine, variables):
    raise ValueError(*say(variables))

def test_angry(angry): pass
"""

secrets = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), min_size=8)
    .map(str.strip)
    .filter(lambda text: len(set(text)) > 4 and "*" not in text)
    .filter(lambda text: len(text) >= 8 and Masker().hide(text) is None)
)


@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to find the smallest takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(token='it\'s "S3cr3t" & $x\nthe second line', keys=["plain-t0ken"])
@given(token=secrets, keys=st.lists(secrets, min_size=1, max_size=3))
def test_nobody_finds_it(project: Project, token: str, keys: list[str]) -> None:
    project.write(BUILDS)
    (project.path / "vars.json").write_text(json.dumps({"token": token, "keys": keys}))
    options = ["-vv", "--showlocals", "-rA", "--tb=long", "--log-file=reports/log.txt"]
    result = project.run("--var-file=vars.json", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    files = [p for p in (project.path / "reports").rglob("*") if p.is_file()]
    assert {"junit.xml", "manifest.json", "build.log", "log.txt"} <= {p.name for p in files}
    shown = {p.name: p.read_text(errors="replace") for p in files}
    shown |= {"stdout": result.stdout.str(), "stderr": result.stderr.str()}
    for place, text in shown.items():
        for secret in (token, *keys):
            for form in FORMS:
                assert core(form, secret) not in text, f"{form} of {secret!r} in {place}"
                joined = "".join(text.split())
                assert not form.startswith("base64") or core(form, secret) not in joined
    result.stdout.fnmatch_lines(["*test_speaks* PASSED *"])
    assert "***" in shown["build.log"]
    assert "***" in shown["junit.xml"]
