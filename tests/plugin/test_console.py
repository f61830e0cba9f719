"""What a machine's console said: kept for every build, shown where a connection failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.reports import log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.project import Project

BUILDS = """
BOOT = "".join(f"line {n}\\r\\n" for n in range(30))
PANIC = BOOT + "\\x1b[1mKernel panic\\x1b[0m"

@harness.build(FakeSource(prints=PANIC, fails={"connect": "no login"}))
def bad(machine): pass

@harness.build(FakeSource(prints=BOOT))
def good(machine): pass

@harness.build(FakeSource())
def silent(machine): pass

def test_bad(bad): pass
def test_good(good): pass
def test_silent(silent): pass
"""


def console(project: Project, build: str) -> Path:
    return (project.path / log.relative_path(build)).with_name(log.CONSOLE)


def test_the_console_is_kept_and_shown_where_a_connection_failed(project: Project) -> None:
    project.write(BUILDS)
    result = project.run()
    result.stdout.fnmatch_lines(
        [
            "bad.fake: connect failed",
            "no login",
            "console, last 20 of 31 lines:",
            "  line 11",
            "  Kernel panic",
            "log: reports/bad.fake/build.log",
        ],
        consecutive=False,
    )
    assert "line 10\n" not in result.stdout.str()
    assert console(project, "bad.fake").read_bytes().endswith(b"\x1b[1mKernel panic\x1b[0m")
    assert console(project, "good.fake").read_bytes().endswith(b"line 29\r\n")
    assert not console(project, "silent.fake").exists()


def test_the_console_of_an_earlier_run_is_not_mistaken_for_this_ones(project: Project) -> None:
    project.write(BUILDS)
    project.run("-k", "good")
    project.write(BUILDS.replace("prints=BOOT)", ")"))
    project.run("-k", "good")
    assert not console(project, "good.fake").exists()


def test_ssh_config_lives_as_long_as_its_machine(project: Project) -> None:
    project.write(
        """
@harness.build(FakeSource())
def web(machine):
    config = machine.ssh_config
    assert config == machine.ssh_config
    note(f"{config} {config.read_text()!r} {config.parent.stat().st_mode & 0o777:o}")

def test_one(web): pass
"""
    )
    assert project.run().ret == 0
    (line,) = project.diary()
    assert line.endswith(" 'Host default\\n  HostName fake.invalid\\n' 700")
    assert list(project.path.glob("cache/pytest-image-harness/machines/*")) == []
