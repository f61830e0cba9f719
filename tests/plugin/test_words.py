"""What builds print, log and warn: in their logs, and in nobody else's test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.reports import log

if TYPE_CHECKING:
    from tests.project import Project

BUILDS = """
import logging, sys, threading, warnings
STARTED, OVER = threading.Event(), threading.Event()

@harness.build(FakeSource())
def quick(machine): pass

@harness.build(FakeSource())
def loud(machine):
    STARTED.wait(60)
    while not OVER.wait(0.002):
        speak("loud")

def speak(who):
    print(f"{who} prints")
    print(f"{who} complains", file=sys.stderr)
    logging.getLogger(who).warning(f"{who} logs")
    warnings.warn(f"{who} warns")

def meanwhile():
    STARTED.set()
    time.sleep(0.3)

def test_loud(loud): pass
"""

TESTS = """
def test_a_failure(quick):
    speak("test_a_failure")
    meanwhile()
    assert False

def test_fixtures(quick, capsys, caplog, recwarn):
    speak("test_fixtures")
    meanwhile()
    speak("test_fixtures")
    OVER.set()
    assert capsys.readouterr() == ("test_fixtures prints\\n" * 2, "test_fixtures complains\\n" * 2)
    assert caplog.messages == ["test_fixtures logs"] * 2
    assert {str(w.message) for w in recwarn} == {"test_fixtures warns"}
    assert recwarn.pop().filename == __file__
"""


@pytest.mark.parametrize("capture", ["fd", "sys", "tee-sys"])
def test_a_builds_words_are_in_its_log_and_in_no_test(project: Project, capture: str) -> None:
    project.write(BUILDS + TESTS)
    result = project.run(f"--capture={capture}", "-rA")
    result.assert_outcomes(passed=5, failed=2, warnings=1)  # one fails, hence no image
    printed = result.stdout.str()
    for word in ("prints", "complains", "logs", "warns"):
        assert f"loud {word}" not in printed
        assert f"test_a_failure {word}" in printed
    said = (project.path / log.relative_path("loud.fake")).read_text()
    assert "loud prints\nloud complains\nWARNING loud: loud logs\n" in said
    assert "test_builds.py:" in said
    assert "UserWarning: loud warns\n" in said
