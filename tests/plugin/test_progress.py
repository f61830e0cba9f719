"""What is seen of builds while they run: on a terminal, and in a log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.project import Project
    from tests.tty import Tty

# What waits does so until the test says so.
WAITING = """
from harness.events import Notice, Output, Progress

def wait_for(name):
    while not (pathlib.Path(__file__).parent / name).exists():
        time.sleep(0.01)

def say(machine, data):
    machine.context.events.emit(Output(machine.context.build, "stdout", data))
"""

BUILDS = (
    WAITING
    + """
@harness.build(FakeSource())
def web(machine):
    say(machine, b"Setting up \\x1b[1mnginx\\x1b[0m\\x1b]0;title\\x07\\x08 ")
    say(machine, "漢\\r\\n\\n".encode())
    wait_for("provisioned")

@harness.build(FakeSource())
def db(machine):
    machine.context.events.emit(Notice(machine.context.build, "something to know"))

def test_db(db): wait_for("tested")
def test_one(web): pass
def test_two(web): pass
"""
)
LIVE = re.compile(r"^\w+\.fake: \w+, \d+ s.*$", re.MULTILINE)
STAGE = re.compile(r"^\w+\.fake: \w+$", re.MULTILINE)


def live(tty: Tty) -> list[str]:
    return [re.sub(r"\d+ s", "N s", line) for line in tty.screen if LIVE.match(line)]


def go(project: Project, *names: str) -> None:
    for name in names:
        (project.path / name).touch()


def results(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r"test_builds.py::.* PASSED", line)]


def test_a_terminal_has_a_line_for_each_running_build(project: Project) -> None:
    project.write(BUILDS)
    tty = project.on_terminal("-v")
    wanted = ["web.fake: provision, N s: Setting up nginx  漢", "db.fake: test, N s"]
    tty.until(lambda: live(tty) == wanted)
    tty.until(lambda: tty.screen[-3] == "test_builds.py::test_db[fake]")
    go(project, "tested")
    tty.until(lambda: "web::" not in tty.everything and len(live(tty)) == 1)
    go(project, "provisioned")
    assert tty.finish() == 0
    assert LIVE.search(tty.everything) is None
    assert STAGE.search(tty.everything) is None
    assert "db.fake: something to know" in tty.screen
    shown = results(tty.everything)
    assert len(shown) == 7
    assert all(re.fullmatch(r"\S+ PASSED +\[[ \d]{3}%\]", x) and len(x) == 79 for x in shown)


@pytest.mark.parametrize(
    ("arguments", "term"),
    [
        (["-q"], "xterm"),
        (["-qq"], "xterm"),
        (["-s"], "xterm"),
        (["--capture=tee-sys"], "xterm"),
        (["-v"], "dumb"),
    ],
)
def test_where_it_would_disturb_no_line_is_live(
    project: Project, arguments: list[str], term: str
) -> None:
    project.write(BUILDS)
    go(project, "provisioned", "tested")
    tty = project.on_terminal(*arguments, TERM=term)
    assert tty.finish() == 0
    assert LIVE.search(tty.everything) is None
    seen = tty.everything.splitlines()
    told = "-q" not in arguments and "-qq" not in arguments
    assert ("db.fake: boot" in seen) == told
    assert ("web.fake | Setting up nginx  漢" in seen) == ("-s" in arguments)


@pytest.mark.parametrize(("color", "no_color"), [("no", ""), ("yes", ""), ("auto", "1")])
def test_live_lines_need_no_colours(project: Project, color: str, no_color: str) -> None:
    project.write(BUILDS)
    tty = project.on_terminal("-v", f"--color={color}", NO_COLOR=no_color)
    tty.until(lambda: len(live(tty)) == 2)
    go(project, "tested", "provisioned")
    assert tty.finish() == 0
    assert LIVE.search(tty.everything) is None


# The line of a test whose result is awaited ends exactly where the window does; or wraps.
@pytest.mark.parametrize("columns", [len("test_builds.py::test_db[fake] "), 20])
def test_a_narrow_window(project: Project, columns: int) -> None:
    project.write(BUILDS)
    tty = project.on_terminal("-v", columns=columns, rows=12)
    tty.until(lambda: any(line.startswith("db.fake: test, ") for line in tty.screen[-1:]))
    assert all(len(line) < columns for line in tty.screen[-2:])
    assert tty.screen[-2].startswith("web.fake: provision,"[: columns - 2])
    go(project, "tested", "provisioned")
    assert tty.finish() == 0
    unwrapped = tty.everything.replace("\n", "")
    assert re.search(r"test_builds\.py::test_db\[fake\] ?PASSED", unwrapped)
    assert "provision, " not in unwrapped


def test_a_window_that_changes_its_size(project: Project) -> None:
    project.write(BUILDS)
    tty = project.on_terminal("-v", columns=100)
    tty.until(lambda: len(live(tty)) == 2)
    tty.resize(50, 24)
    tty.until(lambda: all(len(line) < 50 for line in tty.screen[-2:]) and len(live(tty)) == 2)
    go(project, "tested")
    tty.until(lambda: len(live(tty)) == 1)
    tty.resize(120, 24)
    go(project, "provisioned")
    assert tty.finish() == 0
    assert LIVE.search(tty.everything) is None


def test_more_builds_than_half_a_window_has_lines_for(project: Project) -> None:
    sources = ", ".join(f"FakeSource(name='s{n}')" for n in range(30))
    project.write(
        f"{WAITING}\n@harness.build({sources})\n"
        "def web(machine): wait_for('go')\n"
        "def test_one(web): pass\n"
    )
    tty = project.on_terminal("-v", rows=10)
    tty.until(lambda: tty.screen[-1:] == ["… and 26 more"])
    assert [line.split(":")[0] for line in tty.screen[-5:-1]] == [f"web.s{n}" for n in range(4)]
    go(project, "go")
    assert tty.finish() == 0
    assert "… and" not in tty.everything
    assert len(results(tty.everything)) == 90


def test_a_transfer_has_a_bar(project: Project) -> None:
    project.write(
        WAITING
        + """
@harness.build(FakeSource())
def web(machine):
    events, name = machine.context.events, machine.context.build
    events.emit(Progress(name, "downloading debian.qcow2", 40_000_000, 80_000_000))
    wait_for("half")
    events.emit(Progress(name, "downloading", 40_000_000))
    wait_for("unknown")
    machine.shell("true")
    wait_for("done")

def test_one(web): pass
"""
    )
    tty = project.on_terminal()
    bar = "[##########..........] 50 % of 76.3 MiB, downloadin…"
    tty.until(lambda: live(tty) == [f"web.fake: provision, N s: {bar}"])
    go(project, "half")
    tty.until(lambda: live(tty) == ["web.fake: provision, N s: 38.1 MiB, downloading"])
    go(project, "unknown")
    tty.until(lambda: live(tty) == ["web.fake: provision, N s: $ true"])
    go(project, "done")
    assert tty.finish() == 0


def test_ctrl_c_leaves_nothing_of_them(project: Project) -> None:
    project.write(
        "@harness.build(FakeSource(seconds={'boot': 600}))\n"
        "def web(machine): pass\ndef test_one(web): pass\n"
    )
    tty = project.on_terminal("-v")
    tty.until(lambda: live(tty) == ["web.fake: boot, N s"])
    tty.type("\x03")
    assert tty.finish() == 2
    assert LIVE.search(tty.everything) is None
    assert any("KeyboardInterrupt !!!" in line for line in tty.screen)


def test_a_debugger_has_the_terminal_for_itself(project: Project) -> None:
    project.write(BUILDS + "def test_three(db): assert 0\n")
    go(project, "tested")
    tty = project.on_terminal("--pdb")
    tty.until(lambda: tty.screen[-1:] == ["(Pdb)"])
    tty.type("1 + 41\n")
    tty.until(lambda: tty.screen[-3:] == ["(Pdb) 1 + 41", "42", "(Pdb)"])
    assert live(tty) == []
    tty.type("continue\n")
    tty.until(lambda: len(live(tty)) == 1)
    go(project, "provisioned")
    assert tty.finish() == 1
    assert LIVE.search(tty.everything) is None


def test_breakpoints_are_debugged_in_peace(project: Project) -> None:
    project.write(BUILDS.replace('wait_for("tested")', "breakpoint()"))
    tty = project.on_terminal()
    tty.until(lambda: tty.screen[-1:] == ["(Pdb)"])
    assert live(tty) == []
    tty.type("c\n")
    tty.until(lambda: live(tty)[:1] == ["web.fake: provision, N s: Setting up nginx  漢"])
    go(project, "provisioned")
    assert tty.finish() == 0


def test_with_workers_too(project: Project) -> None:
    project.write(BUILDS)
    tty = project.on_terminal("-n", "2")
    tty.until(
        lambda: (
            sorted(live(tty))
            == ["db.fake: test, N s", "web.fake: provision, N s: Setting up nginx  漢"]
        )
    )
    go(project, "provisioned", "tested")
    assert tty.finish() == 0
    assert LIVE.search(tty.everything) is None
    assert "db.fake: something to know" in tty.everything


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_a_log_has_a_line_for_each_stage(project: Project, workers: list[str]) -> None:
    project.write(BUILDS)
    go(project, "provisioned", "tested")
    text = project.run("--color=yes", *workers).stdout.str()
    assert re.findall(r"^web\.fake: \w+$", text, re.MULTILINE) == [
        f"web.fake: {stage}"
        for stage in (
            "boot",
            "connect",
            "provision",
            "test",
            "seal",
            "capture",
            "publish",
            "destroy",
        )
    ]
    assert LIVE.search(text) is None
    assert not {"\x1b[J", "\x1b7", "\x1bD"} & set(re.findall(r"\x1b\[?.", text))


def test_quiet_is_quiet(project: Project) -> None:
    project.write(BUILDS)
    go(project, "provisioned", "tested")
    text = project.pytester.runpytest_subprocess("-q").stdout.str()
    assert STAGE.search(text) is None
    assert "db.fake: something to know" in text


def test_what_is_told_during_a_test_is_not_captured_with_it(project: Project) -> None:
    project.write(
        WAITING
        + """
@harness.build(FakeSource())
def web(machine):
    wait_for("testing")
    machine.context.events.emit(Notice(machine.context.build, "told during a test"))
    wait_for("tested")

@harness.build(FakeSource())
def db(machine): pass

def test_web(web): pass
def test_db(db):
    here = pathlib.Path(__file__).parent
    (here / "testing").touch()
    time.sleep(1)
    (here / "tested").touch()
    assert 0
"""
    )
    result = project.run()
    text = result.stdout.str()
    assert "Captured" not in text
    assert text.count("web.fake: told during a test") == 1
    result.stdout.fnmatch_lines(["web.fake: told during a test", "*test_db* FAILED*"])
