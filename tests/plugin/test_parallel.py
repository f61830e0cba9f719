"""Several builds at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.project import Project


def test_all_builds_boot_at_once_and_are_tested_in_the_order_of_their_readiness(
    project: Project,
) -> None:
    project.write(
        """
def boots(name, seconds):
    return FakeSource(name=name, diary=DIARY, seconds={"boot": seconds})

@harness.build(boots("slow", 1.5), boots("quick", 0.1), boots("middle", 0.8))
def web(machine): pass

def test_a(web): pass
def test_plain(): note("plain test")
"""
    )
    outcomes = list(project.outcomes())
    assert outcomes == [
        "test_plain",
        *(
            f"{item}[{name}]"
            for name in ("quick", "middle", "slow")
            for item in ("web::provision", "test_a", "web::image")
        ),
    ]
    boots = [i for i, line in enumerate(project.diary()) if line.endswith(" boot")]
    first_end = project.diary().index("web.quick connect")
    assert len(boots) == 3
    assert all(i < first_end for i in boots), "the machines did not boot side by side"


def test_a_capture_runs_while_the_next_build_is_tested(project: Project) -> None:
    project.write(
        """
@harness.build(
    FakeSource(name="a", diary=DIARY, seconds={"capture": 1.5}),
    FakeSource(name="b", diary=DIARY, seconds={"boot": 0.5}),
)
def web(machine): pass

def test_x(web, request): note(f"tested {request.node.name}")
"""
    )
    assert list(project.outcomes()) == [
        "web::provision[a]",
        "test_x[a]",
        "web::provision[b]",
        "test_x[b]",
        "web::image[b]",
        "web::image[a]",
    ]
    diary = project.diary()
    assert diary.index("web.a capture") < diary.index("tested test_x[b]")
    assert diary.index("tested test_x[b]") < diary.index("web.a publish")


def test_a_failing_build_leaves_the_others_alone(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(name="bad", fails={"boot": "no capacity"}), FakeSource(name="good"))
def web(machine): pass

def test_x(web): pass
"""
    )
    outcomes = project.outcomes()
    assert outcomes == {
        "web::provision[bad]": "FAILED",
        "test_x[bad]": "ERROR",
        "web::image[bad]": "FAILED",
        "web::provision[good]": "PASSED",
        "test_x[good]": "PASSED",
        "web::image[good]": "PASSED",
    }
    manifest = project.manifest()
    assert manifest["web.good"]["image"] is not None
    assert manifest["web.bad"]["image"] is None
    assert manifest["web.bad"]["tests"][0]["outcome"] == "failed"


def test_the_build_function_gets_session_fixtures_and_runs_off_the_main_thread(
    project: Project,
) -> None:
    project.write(
        """
import threading

@pytest.fixture(scope="session")
def region():
    note("region made")
    yield "north"
    note("region gone")

@pytest.fixture(autouse=True)
def for_tests_only():
    note("for a test")

@harness.build(FakeSource(name="a", diary=DIARY), FakeSource(name="b", diary=DIARY))
def web(machine, region):
    assert threading.current_thread() is not threading.main_thread()
    note(f"provisioning in {region}")

def test_x(web, region): assert region == "north"
"""
    )
    result = project.run()
    assert result.ret == 0
    diary = project.diary()
    assert diary.count("region made") == diary.count("region gone") == 1
    assert diary.count("provisioning in north") == 2
    assert diary.count("for a test") == 2
    assert diary[-1] == "region gone"


def test_a_failing_session_fixture_is_the_builds_failure(project: Project) -> None:
    project.write(
        """
@pytest.fixture(scope="session")
def region(): raise RuntimeError("no such region")

@harness.build(FakeSource(diary=DIARY))
def web(machine, region): pass

def test_x(web): pass
"""
    )
    result = project.run()
    assert result.ret == 1
    assert (
        len(re.findall(r"^E +RuntimeError: no such region", result.stdout.str(), re.MULTILINE)) == 1
    )
    assert not (project.path / "diary.txt").exists()


def test_a_skipping_session_fixture_skips_the_provisioning(project: Project) -> None:
    project.write(
        """
@pytest.fixture(scope="session")
def account(): pytest.skip("no credentials")

@harness.build(FakeSource())
def web(machine, account): pass

def test_x(web): pass
"""
    )
    outcomes = project.outcomes()
    assert outcomes["web::provision[fake]"] == "SKIPPED"
    assert outcomes["web::image[fake]"] == "FAILED"
