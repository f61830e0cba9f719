"""What a machine said of a user is remembered within one test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.project import Project

BUILD = """
ANSWERS = {"getent passwd me": (0, "me:x:1:1::/before:/bin/sh\\n", "")}

@harness.build(FakeSource(diary=DIARY, answers=ANSWERS))
def web(machine): pass

@pytest.fixture
def home(web):
    return web.user("me").home

def test_remembers(web, home):
    ANSWERS["getent passwd me"] = (0, "me:x:1:1::/after:/bin/sh\\n", "")
    assert [home, web.user("me").home] == ["/before", "/before"]

def test_asks_anew(web, home):
    assert home == "/after"
    ANSWERS["getent passwd me"] = (0, "me:x:1:1::/moved:/bin/sh\\n", "")
    web.check_output("usermod -d /moved me")
    assert web.user("me").home == "/moved"
"""


def test_each_test_asks_anew(project: Project) -> None:
    project.write(BUILD)
    assert set(project.outcomes().values()) == {"PASSED"}
