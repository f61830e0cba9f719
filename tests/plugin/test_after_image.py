"""Functions that follow an image (``@web.after_image``)."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

import harness.reports
from tests.plugin.test_stages import collected

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.project import Project

BUILDS = """
@harness.build(FakeSource(diary=DIARY))
def web(machine): pass

def test_one(web): {test}

@web.after_image
def publish(image):
    note(f"publish {{image.id}} of {{image.build}}")
    print("on its way")
    {publish}

@web.after_image
def announce(image):
    note("announce")
"""
ALL = [
    "web::provision[fake]",
    "test_one[fake]",
    "web::image[fake]",
    "web::publish[fake]",
    "web::announce[fake]",
]


def write(project: Project, test: str = "pass", publish: str = "pass") -> None:
    project.write(BUILDS.format(test=test, publish=publish))


def followers(project: Project, build: str = "web.fake") -> dict[str, str]:
    return {f["name"]: f["outcome"] for f in project.manifest()[build].get("after_image", [])}


def test_they_run_once_the_image_is_there_in_the_order_of_the_file(project: Project) -> None:
    write(project)
    assert project.outcomes() == dict.fromkeys(ALL, "PASSED")
    assert list(project.outcomes()) == ALL
    image = project.manifest()["web.fake"]["image"]["id"]
    assert project.diary()[-4:] == [
        "web.fake hung up",
        "web.fake destroy",
        f"publish {image} of web.fake",
        "announce",
    ]


def test_a_failure_is_its_own(project: Project) -> None:
    write(project, publish="assert image.build == 'another'")
    result = project.run()
    assert result.ret == 1
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ publish[[]fake] _*",
            ">       assert image.build == 'another'",
            "E       AssertionError: assert 'web.fake' == 'another'*",
            "test_builds.py:*: AssertionError",
            "*Captured stdout call*",
            "on its way",
            "web.fake  publish failed: the image is there all the same",
        ]
    )
    assert "harness/plugin" not in result.stdout.str()
    assert project.manifest()["web.fake"]["image"]
    assert followers(project) == {"publish": "failed", "announce": "passed"}


def test_without_an_image_they_are_skipped_since_that_fails_the_run_already(
    project: Project,
) -> None:
    write(project, test="assert False")
    result = project.run("-rs")
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=2, skipped=2)
    why = "1 of 1 test failed (test_one[[]fake]): no image was taken"
    result.stdout.fnmatch_lines([f"SKIPPED*web.fake has no image for publish: {why}"])
    assert "publish" not in " ".join(project.diary())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["test_builds.py::web::publish[fake]"], "none of its tests was selected: no image was"),
        (["-k", "one or publish"], "image[[]fake] was not selected"),
        (["-k", "image or publish"], "none of its tests was selected: no image was taken"),
    ],
)
def test_a_selection_without_the_image_publishes_nothing_and_is_no_success(
    project: Project, arguments: list[str], why: str
) -> None:
    write(project)
    result = project.run("-rs", *arguments)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*web.fake has no image for publish: {why}*"])
    result.stdout.fnmatch_lines(["*(pytest 'test_builds.py::web' runs them all)"])
    diary = project.path / "diary.txt"
    assert not diary.exists() or "publish image" not in diary.read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["test_builds.py::web"], ALL),
        (["test_builds.py::web::publish"], ALL[3:4]),
        (["test_builds.py::web::publish[fake]"], ALL[3:4]),
        (["-k", "publish"], ALL[3:4]),
        (["-k", "web.fake and not announce"], ALL[:4]),
        (["--only", "web"], ALL),
        (["--except", "fake"], []),
        (["--except", "publish"], [*ALL[:3], ALL[4]]),
        (["--except", "pub*,announce"], ALL[:3]),
    ],
)
def test_selection(project: Project, arguments: list[str], expected: list[str]) -> None:
    write(project)
    assert collected(project, *arguments) == expected


def test_the_last_failure_is_selected_and_says_what_it_needs(project: Project) -> None:
    write(project, publish="assert False")
    project.run()
    write(project)
    outcomes = project.outcomes("--lf")
    assert outcomes == {"web::publish[fake]": "FAILED"}
    assert set(project.outcomes("--lf", "test_builds.py::web").values()) == {"FAILED"}


@pytest.mark.parametrize("option", ["--setup-plan", "--setup-only"])
def test_showing_the_setup_runs_none(project: Project, option: str) -> None:
    write(project)
    result = project.run(option)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*web::publish*"])
    assert not (project.path / "diary.txt").exists()


def test_they_take_session_fixtures_that_are_set_up_when_they_run(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(diary=DIARY), FakeSource(name="b", diary=DIARY))
def web(machine): pass

@pytest.fixture(scope="session")
def bucket():
    note("bucket")
    yield "a bucket"
    note("no bucket")

@pytest.fixture(scope="session")
def broken():
    raise RuntimeError("no credentials")

def test_one(web): pass

@web.after_image
def publish(image, bucket, tmp_path_factory):
    note(f"into {bucket}")

@web.after_image
def fails(image, broken): note("never")

@web.after_image
@pytest.mark.skipif(True, reason="not today")
def left_out(image, broken): note("never")
"""
    )
    result = project.run("-rs")
    result.assert_outcomes(passed=8, errors=2, skipped=2)
    result.stdout.fnmatch_lines(["*ERROR at setup of fails*", "E       RuntimeError: no cred*"])
    diary = project.diary()
    assert diary.count("bucket") == diary.count("no bucket") == 1
    assert diary.count("into a bucket") == 2
    assert diary[-1] == "no bucket"
    assert "never" not in diary
    assert followers(project) == {"publish": "passed", "fails": "failed", "left_out": "skipped"}


def test_they_read_variables(project: Project) -> None:
    project.write(
        """
bucket = harness.var("bucket", default="mine")

@harness.build(FakeSource(), FakeSource(name="b"))
def web(machine): pass

def test_one(web): pass

@web.after_image
def publish(image, variables, tmp_path_factory): note(f"into {variables.bucket}")
"""
    )
    assert project.run("--var", "bucket=theirs").ret == 0
    assert project.diary() == ["into theirs"] * 2


def test_a_machine_that_is_ready_is_tested_first(project: Project) -> None:
    project.write(
        """
# Both are ready long before the image is published.
@harness.build(*(FakeSource(name=n, diary=DIARY) for n in "abc"))
def web(machine): pass

@pytest.fixture(scope="module")
def slow(web): time.sleep(0.3)

def test_one(web, slow): note("test")

@web.after_image
def publish(image): note("publish")
"""
    )
    assert project.run().ret == 0
    marks = [line for line in project.diary() if line in ("test", "publish")]
    assert marks == ["test"] * 3 + ["publish"] * 3


def test_while_a_machine_boots_there_is_time(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource(diary=DIARY))
def quick(machine): pass

@harness.build(FakeSource(diary=DIARY))
def late(machine):
    while "publish\\n" not in (pathlib.Path(__file__).parent / "diary.txt").read_text():
        time.sleep(0.01)

def test_quick(quick): pass
def test_late(late): pass

@quick.after_image
def publish(image): note("publish")
"""
    )
    assert project.run().ret == 0


def test_up_to_date_means_that_it_was_published_too(project: Project) -> None:
    write(project, publish="assert not os.environ.get('OFFLINE')")
    project.pytester._monkeypatch.setenv("OFFLINE", "1")
    assert project.run("--skip-unchanged").ret == 1
    assert project.run("--skip-unchanged").ret == 1, "what failed must not be forgotten"
    assert project.run("--skip-unchanged", "-k", "not publish").ret == 0
    project.pytester._monkeypatch.delenv("OFFLINE")
    result = project.run("--skip-unchanged")
    result.assert_outcomes(passed=5)
    before = project.diary()
    result = project.run("--skip-unchanged", "-rs")
    result.assert_outcomes(skipped=5)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["SKIPPED*web.fake is up to date: image-of-*"])
    assert project.diary() == before


def test_reports(project: Project) -> None:
    write(project, publish="time.sleep(0.2)")
    assert project.run().ret == 0
    (publish,) = [
        case
        for case in ET.parse(project.path / "reports" / "junit.xml").iter("testcase")
        if case.get("name") == "publish[fake]"
    ]
    assert publish.get("classname") == "test_builds.web"
    assert float(publish.get("time", "0")) >= 0.2
    entry = project.manifest()["web.fake"]["after_image"]
    assert [f["name"] for f in entry] == ["publish", "announce"]
    assert entry[0]["seconds"] >= 0.2
    schema = Path(harness.reports.__file__).parent / "manifest.schema.json"
    document = json.loads((project.path / "reports" / "manifest.json").read_text())
    jsonschema.validate(document, json.loads(schema.read_text()))


def test_with_workers_they_go_where_their_build_goes(project: Project) -> None:
    project.write(
        """
@harness.build(*(FakeSource(name=n, diary=DIARY) for n in "abcd"))
def web(machine): note(f"{machine.context.build} on {os.environ['PYTEST_XDIST_WORKER']}")

def test_one(web): pass

@web.after_image
def publish(image):
    note(f"{image.build} on {os.environ['PYTEST_XDIST_WORKER']}")
    assert image.build != "web.c"
"""
    )
    result = project.run("-n", "2")
    result.assert_outcomes(passed=15, failed=1)
    where = [line for line in project.diary() if " on gw" in line]
    assert len(where) == 8
    assert len(set(where)) == 4
    assert followers(project, "web.b") == {"publish": "passed"}
    assert followers(project, "web.c") == {"publish": "failed"}


def test_the_debugger_stops_in_them(project: Project) -> None:
    write(project, publish="number = 42; assert number == 0")
    result = project.pytester.run(
        "sh", "-c", 'printf "p number\\nc\\n" | "$0" -m pytest --pdb -s', sys.executable
    )
    result.stdout.fnmatch_lines(["*(Pdb)*42*"])


def test_ctrl_c_ends_them(project: Project) -> None:
    write(project, publish="os.kill(os.getpid(), 2)")
    result = project.run()
    assert result.ret == 2
    assert "announce" not in project.diary()
    assert project.manifest()["web.fake"]["image"]


def test_the_first_failure_ends_a_run_that_wants_that(project: Project) -> None:
    write(project, publish="assert False")
    assert project.run("-x").ret == 1
    assert "announce" not in project.diary()


def test_secrets_stay_hidden(project: Project) -> None:
    write(project, publish="raise RuntimeError(TOKEN.reveal())")
    path = project.path / "test_builds.py"
    path.write_text(path.read_text() + "\nTOKEN = harness.Secret('correct horse')\n")
    result = project.run("--showlocals")
    assert "RuntimeError: ***" in result.stdout.str()
    assert "correct horse" not in result.stdout.str()
    assert "correct horse" not in (project.path / "reports" / "manifest.json").read_text()


FILES = """
import dataclasses
from harness import post_processors as pp

@dataclasses.dataclass(frozen=True)
class Files(FakeSource):
    def publish(self, image, context):
        path = context.root / "images" / f"{context.build}.img"
        path.parent.mkdir(exist_ok=True)
        path.write_text("data")
        return dataclasses.replace(image, path=path, id=str(path.relative_to(context.root)))

    def find_image(self, made_of, noted, context):
        return noted if noted and noted.path.exists() else None

@harness.build(Files(diary=DIARY))
def web(machine): pass

def test_one(web): pass
"""


def test_post_processors_follow_images_too(project: Project) -> None:
    project.write(
        f"""{FILES}
web.after_image(pp.Checksum())
web.after_image(pp.Chain(pp.Compress(output="images/web.gz"), pp.Manifest(), name="pack"))
web.after_image(pp.ShellLocal(name="tell", inline=["echo about $HARNESS_ARTIFACT; false"]))
web.after_image(pp.Compress(only=["other"], name="not-here"))
"""
    )
    (project.path / "below").mkdir()
    project.pytester._monkeypatch.chdir(project.path / "below")
    result = project.run("--rootdir", "..", "..")
    result.assert_outcomes(passed=6, failed=1)
    made = {f["name"]: f.get("files", []) for f in project.manifest()["web.fake"]["after_image"]}
    assert made == {
        "checksum": ["images/web.fake.img.sha256"],
        "pack": ["images/web.gz"],
        "tell": [],
        "not-here": [],
    }
    result.stdout.fnmatch_lines(
        [
            "*_ tell[[]fake] _*",
            "web.fake: tell failed",
            "$ echo about $HARNESS_ARTIFACT; false",
            "exit status 1",
            "*Captured stdout call*",
            "about */images/web.fake.img",
            "web.fake  checksum: images/web.fake.img.sha256",
            "web.fake  pack: images/web.gz",
            "web.fake  tell failed: the image is there all the same",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "harness/post_processors" not in result.stdout.str()
    document = json.loads((project.path / "packer-manifest.json").read_text())
    assert document["builds"][0]["files"][0]["name"] == "images/web.gz"


def test_the_manifest_of_several_workers_is_one(project: Project) -> None:
    sources = ", ".join(f'Files(name="{name}")' for name in "abcdef")
    project.write(
        FILES.replace("Files(diary=DIARY)", sources) + "\nweb.after_image(pp.Manifest())\n"
    )
    assert project.run("-n", "3").ret == 0
    document = json.loads((project.path / "packer-manifest.json").read_text())
    assert sorted(entry["name"] for entry in document["builds"]) == list("abcdef")
    assert {entry["packer_run_uuid"] for entry in document["builds"]} == {document["last_run_uuid"]}


@pytest.mark.parametrize(
    ("others", "removed"),
    [
        ("", True),
        ("@web.after_image\ndef look(image): assert image.path.exists()", True),
        ("web.after_image(pp.Checksum())", False),
        ("@web.after_image\ndef fail(image): assert False", False),
    ],
)
def test_an_image_goes_when_nothing_needs_it_any_more(
    project: Project, others: str, removed: bool
) -> None:
    compress = 'pp.Compress(output="web.gz", keep_input_artifact=False)'
    project.write(f"{FILES}\nweb.after_image({compress})\n{others}\n")
    result = project.run()
    assert (project.path / "web.gz").exists()
    assert (project.path / "images" / "web.fake.img").exists() is not removed
    assert project.manifest()["web.fake"].get("image_removed", False) is removed
    assert ("removed: keep_input_artifact=False" in result.stdout.str()) is removed
    if removed:
        project.run("--skip-unchanged")
        assert project.diary().count("web.fake boot") == 2, "the image is not there any more"


def test_a_command_keeps_a_secret(project: Project) -> None:
    project.write(
        f"""{FILES}
TOKEN = harness.Secret("correct horse")
web.after_image(pp.ShellLocal(inline=["echo $TOKEN"], environment_vars={{"TOKEN": TOKEN}}))
"""
    )
    result = project.run("-s")
    assert result.ret == 0
    assert "***" in result.stdout.str()
    assert "correct horse" not in result.stdout.str()


@pytest.mark.parametrize(
    ("follower", "sentence"),
    [
        ("def publish(): pass", "takes 'nothing' as its first argument: write `def publish(image"),
        ("def publish(machine): pass", "takes 'machine' as its first argument"),
        ("def publish(image): yield", "is a generator or async function, which would never run"),
        ("async def publish(image): pass", "is a generator or async function"),
        ("def image(image): pass", "named 'image', which is a stage's name: give it another"),
        ("def test_it(image): pass", "named 'test_it', which pytest takes for a test"),
        ("def publish(image, nothing): pass", "takes 'nothing', and there is no fixture of that"),
        ("def publish(image, narrow): pass", "the fixture 'narrow', whose scope is not the sess"),
        ("class Publish: pass", "write it above a plain function, `def publish(image"),
        ("@pytest.fixture\ndef publish(image): pass", "write it above a plain function"),
        (
            "def publish(image): pass\n@web.after_image\ndef publish(image): pass",
            "has 2 functions named 'publish' that follow its image: give each a name of its own",
        ),
        (
            "def publish(image): pass\nweb.after_image(lambda image: None)",
            "is named '<lambda>': a name is of letters",
        ),
    ],
)
def test_mistakes_are_told_at_collection(
    collection_error: Callable[[str], str], follower: str, sentence: str
) -> None:
    text = collection_error(
        f"""
@harness.build(FakeSource())
def web(machine): pass

@pytest.fixture
def narrow(): pass

def test_one(web): pass

@web.after_image
{follower}
"""
    )
    assert sentence in " ".join(text.split())
