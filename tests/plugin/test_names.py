"""Names of images in a session: the same for all builds, and refused before anything is there."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
import re, dataclasses
from harness import naming

@dataclasses.dataclass(frozen=True)
class Source(FakeSource):
    image_name: str = "{timestamp} {isotime:%Y} {uuid} {git_sha}"
    def name_it(self, context):
        rule = naming.NameRule(re.compile("/"), "no slash", 120)
        return naming.render("image_name", self.image_name, context, self.params, rule)
    def validate(self, context):
        self.name_it(context)
    def publish(self, image, context):
        note(self.name_it(context))
        return image

@harness.build(Source(), Source(name="b"))
def web(machine): pass

@harness.build(Source(OPTION))
def db(machine): pass

def test_web(web): pass
def test_db(db): pass
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_fields_are_the_same_for_all_builds(project: Project, workers: list[str]) -> None:
    project.write(BUILDS.replace("OPTION", ""))
    subprocess.run(["git", "init", "-q"], cwd=project.path, check=True)
    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", "commit", "-qm", "a"]
    subprocess.run([*commit, "--allow-empty"], cwd=project.path, check=True)
    assert project.run(*workers).ret == 0
    names = project.diary()
    assert len(names) == 3
    (name,) = set(names)
    assert re.fullmatch(r"[0-9]{10} 20[0-9]{2} [0-9a-f-]{36} [0-9a-f]{40}", name)


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_a_name_that_is_none_stops_all_before_anything_is_created(
    project: Project, workers: list[str]
) -> None:
    builds = BUILDS.replace("OPTION", "diary=DIARY, image_name='{var.name}-{isotme}'")
    project.write(f"harness.var('name', default='{{build}}')\n{builds}")
    result = project.run(*workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = "db.fake: image_name='{build}-{isotme}' has the field {isotme}; did you mean"
    assert message in result.stderr.str()
    assert "(variables: name='{build}' from default)" in result.stderr.str()
    assert "has the field {git_sha}" in result.stderr.str(), "there is no git here"
    assert not (project.path / "diary.txt").exists()
