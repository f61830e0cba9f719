"""The gate, driven through whole sessions: no image without every test's pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.project import WEB

if TYPE_CHECKING:
    from tests.project import Project

IMAGE = "web::image[fake]"


def build(tests: str, decorator: str = "") -> str:
    return f"""
@harness.build(FakeSource(diary=DIARY){decorator})
def web(machine): pass
{tests}
"""


def image_was_taken(project: Project) -> bool:
    taken = project.manifest()["web.fake"]["image"] is not None
    assert taken == ("web.fake capture" in project.diary())
    return taken


def before_summary(result: pytest.RunResult) -> str:
    """What is shown before pytest's own short summary, which where CI is set repeats it all."""
    return result.stdout.str().partition("short test summary info")[0]


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("def test_a(web): assert False\ndef test_b(web): pass", "1 of 2 tests failed (test_a["),
        (
            "@pytest.fixture\ndef f(web):\n    yield\n    assert False\ndef test_a(f): pass",
            "1 of 1 test failed",
        ),
        (
            "@pytest.fixture(scope='module')\ndef f(web):\n    yield\n    assert False\n"
            "def test_a(f): pass\ndef test_b(web): pass",
            "1 of 2 tests failed",
        ),
        ("@pytest.fixture\ndef f(web): assert False\ndef test_a(f): pass", "1 of 1 test failed"),
        ("def test_a(web): pytest.skip('not today')", "skipped itself without a mark"),
        ("def test_a(web): pytest.xfail('not today')", "skipped itself without a mark"),
        (
            "@pytest.mark.xfail(strict=True)\ndef test_a(web): pass\ndef test_b(web): pass",
            "1 of 2 tests failed",
        ),
        ("@pytest.mark.skip\ndef test_a(web): pass", "none of its 1 tests passed"),
        ("def test_a(): pass", "no test uses the build"),
        (
            "def test_a(web): pass\ndef test_b(request): request.getfixturevalue('web')",
            "test_b of its module failed",
        ),
        (
            "@pytest.mark.skipif(False, reason='')\ndef test_a(web): pytest.skip('self')\n"
            "def test_b(web): pass",
            "1 of 2 tests skipped itself",
        ),
    ],
)
def test_no_image(project: Project, tests: str, reason: str) -> None:
    project.write(build(tests))
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"web.fake: *{reason.replace('[', '[[]')}*no image was taken*"])
    assert not image_was_taken(project)


@pytest.mark.parametrize(
    ("tests", "decorator"),
    [
        ("@pytest.mark.skip(reason='r')\ndef test_a(web): pass\ndef test_b(web): pass", ""),
        ("@pytest.mark.xfail\ndef test_a(web): assert False\ndef test_b(web): pass", ""),
        ("@pytest.mark.xfail(run=False)\ndef test_a(web): pass\ndef test_b(web): pass", ""),
        ("def test_a(): pass", ", untested=True"),
        ("@pytest.mark.usefixtures('web')\nclass TestX:\n    def test_a(self): pass", ""),
    ],
)
def test_an_image(project: Project, tests: str, decorator: str) -> None:
    project.write(build(tests, decorator))
    assert project.run().ret == 0
    assert image_was_taken(project)


def test_marked_outcomes_are_in_the_manifest_as_what_they_are(project: Project) -> None:
    project.write(
        build(
            "@pytest.mark.skip(reason='later')\ndef test_a(web): pass\n"
            "@pytest.mark.xfail(reason='known')\ndef test_b(web): assert False\n"
            "def test_c(web): pass\n"
        )
    )
    result = project.run()
    outcomes = [(t["outcome"], t.get("reason")) for t in project.manifest()["web.fake"]["tests"]]
    assert outcomes == [("skipped", "Skipped: later"), ("xfailed", "known"), ("passed", None)]
    result.stdout.fnmatch_lines(["web.fake  of 3 tests: 1 skipped, 1 xfailed"])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["-k", "test_one"], 0),
        (["test_builds.py::test_one"], 0),
        (["test_builds.py::test_one", "test_builds.py::test_two"], 0),
        (["-k", "provision"], 0),
        (["-k", "not image"], 0),
        (["test_builds.py::web::image"], 1),
        (["-k", "not test_one"], 1),
        (["--deselect", "test_builds.py::test_one[fake]"], 1),
        (["test_builds.py::web::image", "test_builds.py::test_one"], 1),
    ],
)
def test_a_selection_that_leaves_out_a_test_yields_none(
    project: Project, arguments: list[str], status: int
) -> None:
    project.write(WEB)
    result = project.run(*arguments)
    assert result.ret == status
    result.stdout.fnmatch_lines(["web.fake  no image: *"])
    if status:  # an image was asked for
        result.stdout.fnmatch_lines(["*(pytest 'test_builds.py::web' runs them all)*"])
    assert project.manifest()["web.fake"]["image"] is None
    if (project.path / "diary.txt").exists():
        assert "web.fake capture" not in project.diary()


def test_an_image_alone_boots_nothing(project: Project) -> None:
    project.write(WEB)
    project.run("test_builds.py::web::image")
    assert not (project.path / "diary.txt").exists()


def test_last_failed_selects_the_image_and_it_fails_again(project: Project) -> None:
    fixed = project.path / "fixed"
    project.write(
        build(
            f"def test_a(web): assert pathlib.Path({str(fixed)!r}).exists()\ndef test_b(web): pass"
        )
    )
    assert project.run().ret == 1
    fixed.touch()
    outcomes = project.outcomes("--lf")
    assert outcomes == {"test_a[fake]": "PASSED", IMAGE: "FAILED"}
    assert not image_was_taken(project)
    # Nothing was wrong with the tests: the whole build, as the message says, yields the image.
    reason = project.manifest()["web.fake"]["reason"]
    assert reason.endswith("(pytest 'test_builds.py::web' runs them all)")
    assert project.run("test_builds.py::web").ret == 0
    assert image_was_taken(project)


def test_exit_first_takes_no_image(project: Project) -> None:
    project.write(build("def test_a(web): assert False\ndef test_b(web): pass"))
    assert project.run("-x").ret == 1
    assert not image_was_taken(project)
    assert project.diary()[-1] == "web.fake destroy"


def test_a_failing_capture_is_the_images_own_failure(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(diary=DIARY, fails={"capture": "the disk is full"}))
def web(machine): pass
def test_a(web): pass
"""
    )
    outcomes = project.outcomes()
    assert outcomes == {
        "web::provision[fake]": "PASSED",
        "test_a[fake]": "PASSED",
        IMAGE: "FAILED",
    }
    assert project.manifest()["web.fake"]["image"] is None
    assert "the disk is full" in project.manifest()["web.fake"]["reason"]
    assert project.diary()[-1] == "web.fake destroy"


def test_a_provisioning_failure_shows_once(project: Project) -> None:
    project.write(
        """
ANSWERS = {"frobnicate --hard": (3, "".join(f"line {n}\\n" for n in range(50)), "cannot frob\\n")}

@harness.build(FakeSource(answers=ANSWERS, diary=DIARY))
def web(machine):
    machine.shell("true", "frobnicate --hard")

def test_one(web): pass
def test_two(web): pass
"""
    )
    result = project.run()
    text = before_summary(result)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "web.fake: provision failed at test_builds.py:*",
            "*frobnicate --hard",
            "exit status 3",
            "stdout, last 20 of 50 lines:",
            "  line 49",
            "stderr:",
            "  cannot frob",
            "log: reports/web.fake/build.log",
        ]
    )
    assert text.count("cannot frob") == 1
    assert text.count("not run: web.fake was not provisioned") >= 2
    assert "web.fake: provision failed (true): no image was taken" in text
    assert "line 29\n" not in text
    assert "lifecycle.py" not in text
    assert project.diary()[-1] == "web.fake destroy"
    assert "line 0\n" in (project.path / "reports/web.fake/build.log").read_text()


def test_the_first_test_tells_where_no_provision_item_was_selected(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(answers={"frobnicate": (3, "", "cannot frob")}))
def web(machine): machine.shell("frobnicate")

def test_one(web): pass
def test_two(web): pass
"""
    )
    result = project.run("-k", "test_one or test_two")
    assert result.ret == 1
    assert before_summary(result).count("stderr:\n") == 1


def test_an_assertion_in_the_build_function_shows_the_users_code_only(project: Project) -> None:
    failing = build("def test_one(web): pass").replace("machine): pass", "machine): assert 1 == 2")
    project.write(failing)
    result = project.run()
    result.stdout.fnmatch_lines(["*def web(machine): assert 1 == 2", "E*assert 1 == 2"])
    assert "lifecycle.py" not in result.stdout.str()


def test_a_rerun_that_passes_counts_and_is_flaky(project: Project) -> None:
    project.write(
        build(
            "TRIES = []\ndef test_a(web):\n    TRIES.append(1)\n    assert len(TRIES) == 2, 'once'"
        )
    )
    result = project.run("--reruns=1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["web.fake  of 1 tests: 1 flaky"])
    (test,) = project.manifest()["web.fake"]["tests"]
    assert (test["outcome"], test["flaky"]) == ("passed", True)
    assert "once" in test["reason"]
    assert image_was_taken(project)


def test_stages_are_not_run_again(project: Project) -> None:
    project.write(
        "@harness.build(FakeSource(diary=DIARY, fails={'capture': 'the disk is full'}))\n"
        "def web(machine): pass\ndef test_a(web): pass\n"
    )
    result = project.run("--reruns=2")
    assert "RERUN" not in result.stdout.str()
    result.stdout.fnmatch_lines(["web.fake: capture failed", "the disk is full"])


def test_a_hooks_skip_is_no_mark(project: Project) -> None:
    project.pytester.makeconftest(
        "import pytest\ndef pytest_runtest_setup(item):\n"
        "    if item.name.startswith('test_a'): pytest.skip('not today')"
    )
    project.write(build("def test_a(web): pass\ndef test_b(web): pass"))
    assert project.run().ret == 1
    assert not image_was_taken(project)


def test_a_mark_that_does_not_hold_excuses_nothing(project: Project) -> None:
    project.write(
        build(
            "@pytest.mark.xfail(False, reason='never')\n"
            "def test_a(web): pytest.xfail('not today')\ndef test_b(web): pass"
        )
    )
    assert project.run().ret == 1
    assert not image_was_taken(project)


def test_a_build_function_that_skips_itself(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource())
def web(machine): pytest.skip("not on Tuesdays")
def test_one(web): pass
"""
    )
    result = project.run()
    assert result.ret == 1, "an image was asked for"
    result.assert_outcomes(skipped=2, failed=1)
    assert "provision was skipped (not on Tuesdays)" in result.stdout.str()


def test_a_session_fixture_that_fails_in_the_end_fails_the_run(project: Project) -> None:
    project.write(
        """
@pytest.fixture(scope="session")
def other():
    yield
    raise RuntimeError("it cannot be put away")

@harness.build(FakeSource(diary=DIARY))
def web(machine): pass
def test_one(web, other): pass
"""
    )
    for arguments in ((), ("-n", "2")):
        result = project.run(*arguments)
        assert result.ret == 1
        result.assert_outcomes(passed=3, errors=1)
        assert "it cannot be put away" in result.stdout.str()
        assert "web.fake  image-of-fake" in result.stdout.str()


def test_what_cannot_be_written_to_is_told_before_anything_starts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(WEB)
    (project.path / "reports").write_text("a file")
    (project.path / "state").write_text("a file")
    for sentence in ("reports go there", "what a run makes is noted there"):
        result = project.run()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert f"cannot be written to (File exists): {sentence}" in result.stderr.str() or (
            f"cannot be written to (Not a directory): {sentence}" in result.stderr.str()
        )
        assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
        if (project.path / "reports").is_file():
            (project.path / "reports").unlink()
        monkeypatch.setenv("XDG_STATE_HOME", str(project.path / "state"))
    assert not (project.path / "diary.txt").exists()


def test_a_test_never_runs_on_another_builds_machine(project: Project) -> None:
    build_web = "@harness.build(FakeSource(){})\ndef web(machine): pass\ndef test_a(web): pass"
    project.write(build_web.format(", tests=['nowhere.py']"), "test_broken")
    result = project.run("--continue-on-collection-errors")
    assert result.ret != 0
    assert "INTERNALERROR" not in result.stdout.str()
    project.write(build_web.format(""), "test_good")
    result = project.run("--continue-on-collection-errors")
    result.stdout.fnmatch_lines(["*not run: web.fake could not be collected*"])
    assert project.manifest()["web.fake"]["image"] is not None
