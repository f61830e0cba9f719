"""A secret is in nothing that a session shows or writes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.project import Project

SECRET = "s3cr3t-of-the-web"
PASSWORD = "pass-of-the-web"
BUILDS = """
import dataclasses, warnings

@dataclasses.dataclass(frozen=True)
class Source(FakeSource):
    ssh_password: str = dataclasses.field(default="", repr=False)
    shutdown_command: object = ""

    def options(self):
        return {"shutdown_command": self.shutdown_command, "args": [["-x", self.shutdown_command]]}

TOKEN = harness.Secret("s3cr3t-of-" + "the-web")
STDOUT = f"token {TOKEN.reveal()} and pass-of-" + "the-web\\n"
"""
FAILING = """
@harness.build(Source(
    ssh_password="pass-of-the-web", shutdown_command=harness.Secret("halt s3cr3t-of-the-web"),
    answers={"agent": (0, STDOUT, STDOUT), "fail": (1, STDOUT, "")}, prints=STDOUT,
))
def web(machine):
    machine.shell("agent", f"agent --token {TOKEN.reveal()}")
    machine.local("echo [$TOKEN]; echo $TOKEN | base64", env={"TOKEN": TOKEN})
    print("from the function", TOKEN.reveal())

def test_fails(web, record_property):
    revealed = TOKEN.reveal()
    long = "x" * 110 + revealed + "y" * 300
    record_property("token", revealed)
    record_property(revealed, "token")
    print("captured", revealed)
    assert web.run("agent %s", TOKEN).stdout == "other"

def test_compares(web):
    assert TOKEN.reveal() * 3 == TOKEN.reveal() * 3 + "x"

@pytest.mark.xfail(reason=TOKEN.reveal())
def test_is_expected_to_fail(web):
    raise ValueError(TOKEN.reveal())

def test_skips(web):
    pytest.skip(TOKEN.reveal())

@harness.build(Source(name="b", answers={"fail": (1, STDOUT, "")}))
def broken(machine):
    machine.shell("fail", env={"TOKEN": TOKEN})

def test_broken(broken): pass
"""


def written(project: Project) -> str:
    """All that a run wrote into files."""
    files = (p for p in (project.path / "reports").rglob("*") if p.is_file())
    return "\n".join(file.read_text() for file in files)


@pytest.mark.parametrize("options", [[], ["-s"], ["-vv", "--showlocals", "-ra", "--tb=long"]])
def test_nothing_shows_it(project: Project, options: list[str]) -> None:
    project.write(BUILDS + FAILING)
    # What a function prints itself is its own business where pytest does not capture it.
    if "-s" in options:
        project.write((BUILDS + FAILING).replace("    print(", "    str.format("))
    result = project.run("--tb=short", *options)
    shown = result.stdout.str() + result.stderr.str() + written(project)
    result.assert_outcomes(passed=1, failed=5, skipped=1, xfailed=1, errors=1)
    source = (project.path / "test_builds.py").read_text()
    for line in source.splitlines():  # pytest shows the lines of the code that failed
        shown = shown.replace(line.strip(), "") if SECRET in line else shown
    assert "token *** and ***" in shown
    for secret in (SECRET, PASSWORD, "czNjcjN0LW9mLXRoZS13ZW"):
        assert [line for line in shown.splitlines() if secret in line] == []
    assert "s3cr3t" not in shown, "nor a piece of it"
    assert '<property name="***" value="token"' in shown
    for file in ("junit.xml", "manifest.json", "web.fake/build.log", "web.fake/console.log"):
        assert "***" in (project.path / "reports" / file).read_text(), file
    assert project.manifest()["web.fake"]["inputs"]["shutdown_command"] == "***"
    assert json.dumps(project.manifest()["web.fake"]["inputs"]["args"]) == '[["-x", "***"]]'


def test_what_is_too_short_is_told_once(project: Project) -> None:
    project.write(
        BUILDS
        + """
@harness.build(Source(ssh_password="root"))
def web(machine):
    for _ in range(2):
        machine.shell("true", env={"A": harness.Secret("1"), "B": harness.Secret("root")})

def test_x(web): pass
"""
    )
    result = project.run()
    told = [line for line in result.outlines if "is not masked" in line]
    assert told == [
        "web.fake: ssh_password has fewer than 6 characters, and is not masked where it appears",
        "web.fake: A in env has fewer than 6 characters, and is not masked where it appears",
    ]


def test_an_options_error_does_not_show_it(project: Project) -> None:
    project.write(
        BUILDS
        + """
class Refusing(Source):
    def validate(self, context):
        raise harness.ConfigurationError(f"ssh_password={self.ssh_password!r} is none")

@harness.build(Refusing(ssh_password="pass-of-the-web"))
def web(machine): pass

def test_x(web): pass
"""
    )
    result = project.run()
    result.stderr.fnmatch_lines(["*web.fake: ssh_password='***' is none"])
    assert PASSWORD not in result.stdout.str() + result.stderr.str()


BESIDE = """
import logging, warnings
TOKEN = harness.Secret("s3cr3t-of-" + "the-web")

@harness.build(FakeSource())
def web(machine): pass

@pytest.mark.filterwarnings("ignore:record_xml_attribute is an experimental feature")
def test_speaks(web, record_testsuite_property, record_xml_attribute, caplog):
    record_testsuite_property("token", TOKEN.reveal())
    record_testsuite_property(TOKEN.reveal(), "token")
    record_xml_attribute("token", TOKEN.reveal())
    warnings.warn(f"warned {TOKEN.reveal()}")
    logging.getLogger("x").warning("logged %s", TOKEN.reveal())
    assert caplog.messages == ["logged s3cr3t-of-" + "the-web"], "what tests see is as it is"
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_warnings_logs_and_properties_of_the_suite_do_not_show_it(
    project: Project, workers: list[str]
) -> None:
    project.write(BESIDE)
    options = ["--log-file=log.txt", "-o", "log_cli=true", "-o", "junit_family=xunit1"]
    result = project.run(*options, *workers)
    shown = result.stdout.str() + written(project)
    assert "UserWarning: warned ***" in shown
    if not workers:  # whose logs and properties xdist drops
        log = (project.path / "log.txt").read_text()
        assert "logged ***" in log
        assert shown.count("logged ***") == 1
        assert '<property name="token" value="***"' in shown
        assert '<property name="***" value="token"' in shown
        assert re.search('<testcase [^>]*token="[*]{3}"', shown)
        shown += log
    assert SECRET not in shown


def test_an_internal_error_does_not_show_it(project: Project) -> None:
    (project.path / "conftest.py").write_text(
        "def pytest_runtest_logstart(nodeid):\n    raise ValueError('s3cr3t-of-' + 'the-web')\n"
    )
    project.write(BESIDE)
    result = project.run()
    assert "INTERNALERROR> ValueError: ***" in result.stdout.str()
    assert SECRET not in result.stdout.str()


def test_secrets_of_shared_checks_and_of_conftest_are_known(project: Project) -> None:
    project.write("@harness.build(FakeSource(), tests=['checks.py'])\ndef web(machine): pass\n")
    secret = "import harness\nTOKEN = harness.Secret('s3cr3t-of-' + 'the-web')\n"
    (project.path / "conftest.py").write_text(secret.replace("web", "conftest"))
    (project.path / "checks.py").write_text(
        secret
        + "def test_x(host):\n    assert 'a' == TOKEN.reveal() + ' s3cr3t-of-' + 'the-conftest'\n"
    )
    result = project.run("--showlocals")
    assert "- *** ***" in result.stdout.str()
    assert SECRET not in result.stdout.str() + written(project)
