"""Sensitive variables: where they are secrets, what they count for, and where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.project import Project


def test_what_is_sensitive_is_a_secret_where_that_may_be(project: Project) -> None:
    project.write(
        """
import dataclasses
@dataclasses.dataclass(frozen=True)
class Source(FakeSource):
    password: str | harness.Secret = ""
    user: str = ""
    keys: object = ()
    def options(self):
        return {"user": self.user, "password": self.password}

TOKEN = harness.var("token", sensitive=True)
@harness.build(Source(
    password="of {var.token}", user="u-{var.token}", keys=[TOKEN], params={"t": TOKEN},
    prints="on the console: {var.token}",
))
def web(machine):
    source = machine.source
    note(str([source.password, source.user[:4], source.keys, source.params]))
    assert source.password.reveal() == f"of {source.keys[0].reveal()}"

def test_x(web, variables):
    assert variables.token == harness.Secret("s3cr3t-token")
"""
    )
    result = project.run("--var", "token=s3cr3t-token")
    assert result.ret == 0
    assert project.diary()[0] == "[***, 'u-s3', [***], {'t': ***}]"
    assert project.manifest()["web.fake"]["inputs"]["user"] == "u-***"
    assert project.manifest()["web.fake"]["inputs"]["password"] == "***"
    reports = (p for p in (project.path / "reports").rglob("*") if p.is_file())
    for text in (*(p.read_text() for p in reports), result.stdout.str()):
        assert "s3cr3t-token" not in text


UNCHANGED = """
harness.var("region", default="eu")
harness.var("token", default="one-token", sensitive=True)
@harness.build(FakeSource(diary=DIARY{option}))
def web(machine):
    machine.shell("provision")
def test_x(web, variables): assert variables.region
"""


@pytest.mark.parametrize(
    ("arguments", "option", "is_built"),
    [
        ([], "", False),
        (["--var", "region=us"], "", True),
        (["--var", "token=another-token"], "", False),
        (["--var", "token=another-token"], ", prints='{var.token}'", False),
        (["--var", "region=us"], ", prints='{var.region}'", True),
    ],
)
def test_values_count_for_what_is_unchanged_and_secrets_do_not(
    project: Project, arguments: list[str], option: str, *, is_built: bool
) -> None:
    project.write(UNCHANGED.format(option=option))
    assert project.run("--skip-unchanged").ret == 0
    (project.path / "diary.txt").unlink()
    assert project.run("--skip-unchanged", *arguments).ret == 0
    assert (project.path / "diary.txt").exists() == is_built


ROTATED = """
import harness.checkpoints
harness.checkpoints.LONG = 0.0
TOKEN = harness.var("token", sensitive=True)
ANSWERS = {"say": (0, f"token {os.environ['SAID']}\\n", "")}

@harness.build(FakeSource(diary=DIARY, saves=True, answers=ANSWERS))
def web(machine, variables):
    machine.shell("first")
    answer = machine.shell("say it", env={"TOKEN": variables.token})
    machine.shell("last")
    looked = LOOK and answer.stdout
    print("said:", looked)
    note(f"exit status {answer.exit_status}, said: {looked}")

def test_x(web): pass
"""


@pytest.mark.parametrize("look", [False, True])
def test_a_secret_of_an_earlier_run_is_in_no_record(
    project: Project, monkeypatch: pytest.MonkeyPatch, *, look: bool
) -> None:
    project.write(f"LOOK = {look}\n" + ROTATED)
    for token in ("the-old-token", "the-new-token"):
        monkeypatch.setenv("SAID", token)
        result = project.run("--var", f"token={token}")
        assert result.ret == 0
        written = [p for p in project.path.rglob("*") if p.is_file() and p.suffix != ".txt"]
        texts = [result.stdout.str(), *(p.read_bytes().decode(errors="replace") for p in written)]
        for text in texts:
            assert "-token" not in text.replace("the build", "")
            assert "dGhlLW9sZC10b2tlb" not in text
    happened = [line.removeprefix("web.fake ") for line in project.diary()]
    again = happened[happened.index("destroy") + 1 :]
    assert "resume" in again
    assert ("save" in again) == look, "only where somebody looks the call is made again"
    assert f"exit status 0, said: {'token the-new-token' if look else False}" in again
