"""Provisioners as data, on a real OpenSSH server."""

from __future__ import annotations

import dataclasses
import itertools
import platform
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness import duration, remote_script, remote_shell
from harness.errors import CommandError, CommandTimeoutError, ConfigurationError
from harness.provisioners import File, Provisioner, Shell, ShellLocal
from tests import sshd
from tests.machines import Impatient, machine_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.machine import Machine

pytestmark = pytest.mark.sshd


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def cancel() -> Impatient:
    return Impatient()


@pytest.fixture
def machine(server: sshd.Sshd, tmp_path: Path, cancel: Impatient) -> Iterator[Machine]:
    with machine_on(server, tmp_path, cancel) as machine:
        yield machine


def printed(machine: Machine, tmp_path: Path, *provisioners: Provisioner) -> str:
    """What they wrote to the file that ``$OUT`` names."""
    machine.provision(*provisioners)
    out = tmp_path / "out"
    return out.read_text() if out.exists() else ""


@pytest.mark.parametrize("kind", [Shell, ShellLocal])
def test_inline_and_scripts(machine: Machine, tmp_path: Path, kind: type[Shell]) -> None:
    (tmp_path / "a.sh").write_text('echo a $NAME $PACKER_BUILD_NAME >>"$OUT"\n')
    (tmp_path / "b.py").write_text(
        "#!/usr/bin/env python3\nimport os\nprint('b', file=open(os.environ['OUT'], 'a'))\n"
    )
    variables = [f"OUT={tmp_path}/out", "NAME=x=y"]
    made = [
        kind(
            inline=["n=$NAME", 'echo inline $n $PACKER_BUILDER_TYPE >>"$OUT"'],
            environment_vars=variables,
        ),
        kind(script="a.sh", environment_vars={"OUT": f"{tmp_path}/out", "NAME": "it's"}),
        kind(scripts=["a.sh", "b.py"], environment_vars=variables),
    ]
    expected = "inline x=y fake\na it's fake\na x=y fake\nb\n"
    assert printed(machine, tmp_path, *made) == expected


@pytest.mark.parametrize(
    ("options", "output"),
    [
        ({"execute_command": "{{.Vars}} sh -x '{{ .Path }}' 2>/dev/null"}, "it's sh\n"),
        ({"inline_shebang": "/bin/bash -eu"}, "it's bash\n"),
        ({"remote_path": "{tmp}/there.sh"}, "it's sh\n"),
        ({"execute_command": "NAME=other {{.Path}}"}, "other sh\n"),
    ],
)
def test_packers_ways_to_run_a_script(
    machine: Machine, tmp_path: Path, options: dict[str, str], output: str
) -> None:
    options = {name: value.replace("{tmp}", str(tmp_path)) for name, value in options.items()}
    shell = Shell(
        inline=[f'echo "$NAME" "$([ "$BASH" ] && echo bash || echo sh)" >{tmp_path}/out'],
        environment_vars=["NAME=it's"],
        **options,  # type: ignore[arg-type]  # texts all of them
    )
    assert printed(machine, tmp_path, shell) == output
    assert not (tmp_path / "there.sh").exists()


def test_exit_codes_and_pauses(machine: Machine, cancel: Impatient, tmp_path: Path) -> None:
    machine.provision(Shell(inline=["exit 2"], valid_exit_codes=[0, 2], pause_after="1m"))
    assert 60 in cancel.slept
    tries = f"echo x >>{tmp_path}/tries"
    with pytest.raises(CommandError):
        machine.provision(Shell(inline=[tries, "false"], max_retries=2, pause_before="1m30s"))
    assert (tmp_path / "tries").read_text() == "x\n" * 3
    assert cancel.slept[-3:] == [90, 1, 2]
    for kind in (Shell, ShellLocal):
        with pytest.raises(CommandTimeoutError, match=r"timeout of 0\.2 s"):
            machine.provision(kind(inline=["sleep 60"], timeout="200ms"))


def test_shell_local_knows_its_system(machine: Machine, tmp_path: Path) -> None:
    here, out = platform.system().lower(), f"echo here >>{tmp_path}/out"
    elsewhere = ShellLocal(command=out, only_on=["plan9"])
    assert printed(machine, tmp_path, elsewhere) == ""
    assert printed(machine, tmp_path, ShellLocal(command=out, only_on=[here])) == "here\n"


def test_files(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/a").write_text("a")
    (tmp_path / "b").write_text("b")
    there = tmp_path / "there"
    machine.provision(
        File(source="site", destination=str(there)),
        File(source="site/", destination=str(there)),
        File(sources=["b", "site/a"], destination=f"{there}/both"),
        File(content="text\n", destination=f"{there}/text"),
        File(source=f"{there}/text", destination="back", direction="download"),
    )
    found = {str(p.relative_to(there)): p.read_text() for p in there.rglob("*") if p.is_file()}
    assert found == {"site/a": "a", "a": "a", "both/b": "b", "both/a": "a", "text": "text\n"}
    assert (tmp_path / "back").read_text() == "text\n"


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({"only": ["fake"]}, "usual\n"),
        ({"only": ["web.fake", "other"]}, "usual\n"),
        ({"only": ["db.fake"]}, ""),
        ({"only": ["other"]}, ""),
        ({"except_": ["fake"]}, ""),
        ({"except_": ["other"]}, "usual\n"),
        ({"override": {"fake": {"environment_vars": ["WORD=special"]}}}, "special\n"),
        ({"override": {"other": {"environment_vars": ["WORD=special"]}}}, "usual\n"),
    ],
)
def test_some_sources_only(
    machine: Machine, tmp_path: Path, options: dict[str, Any], runs: str
) -> None:
    shell = Shell(
        inline=[f"echo $WORD >>{tmp_path}/out"], environment_vars=["WORD=usual"], **options
    )
    assert printed(machine, tmp_path, shell) == runs


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Shell, "give one of inline, script, scripts; there is none"),
        (lambda: Shell(inline=["a"], script="b"), "there is inline and script"),
        (lambda: Shell(inline="apt update"), "inline='apt update' is a text where a list belongs"),
        (
            lambda: Shell(inline=["a"], environment_vars=["A"]),
            "environment_vars has 'A': write NAME",
        ),
        (lambda: Shell(inline=["a"], timeout="1 hour"), "timeout='1 hour' is no duration: write"),
        (lambda: Shell(inline=["a"], pause_after=-1), "pause_after=-1 is no duration"),
        (lambda: Shell(inline=["a"], only=["x"], except_=["y"]), "exclude each other"),
        (ShellLocal, "give one of inline, command, script, scripts"),
        (lambda: Shell(inlin=["a"]), "Shell has no option 'inlin': did you mean 'inline'"),  # type: ignore[call-arg]  # on purpose
        (lambda: Shell(["a"]), "options are given by name, as in Shell(execute_command=...)"),  # type: ignore[call-arg]  # on purpose
        (lambda: Shell(inline=["a"], sudo=3), "provisioner shell: sudo=3: write True or False or"),  # type: ignore[arg-type]  # on purpose
        (lambda: Shell(inline=["a"], binary=True), "Windows line ends refused; leave it out"),  # type: ignore[call-arg]  # on purpose
        (lambda: Shell(inline=["a"], skip_clean=True), "always removed; leave it out"),  # type: ignore[call-arg]  # on purpose
        (
            lambda: Shell(inline=["a"], start_retry_timeout="5m"),  # type: ignore[call-arg]  # on purpose
            "max_retries tries again; leave it out",
        ),
        (
            lambda: File(source="a", destination="x", generated=True),  # type: ignore[call-arg]  # on purpose
            "looked for when its turn comes; leave it out",
        ),
        (lambda: File(source="a"), "there is no destination: write where to"),
        (lambda: File(destination="x"), "give one of source, sources, content; there is none"),
        (lambda: File(source="a", content="b", destination="x"), "there is source and content"),
        (lambda: File(source="a", destination="x", direction="up"), "choose one of upload, down"),
        (
            lambda: File(content="a", destination="x", direction="download"),
            "content can only be uploaded",
        ),
    ],
)
def test_wrong_options_are_told_when_it_is_made(make: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        make()


def test_wrong_options_that_only_a_machine_shows(machine: Machine) -> None:
    with pytest.raises(ConfigurationError, match=r"override has 'inlin'; its options are only,"):
        machine.provision(Shell(inline=["true"], override={"fake": {"inlin": []}}))
    with pytest.raises(ConfigurationError, match=r"there is no {{.Name}}; fields are {{.Path}}"):
        machine.provision(Shell(inline=["true"], execute_command="{{.Name}}"))


@pytest.mark.parametrize("option", ["only", "except_", "override"])
def test_a_source_that_no_build_has_is_named(machine: Machine, option: str) -> None:
    value: Any = {"fkae": {}} if option == "override" else ["fkae"]
    told = f"{option} has 'fkae', which is no build and no source; there are db.fake, fake"
    with pytest.raises(ConfigurationError, match=told):
        machine.provision(Shell(inline=["true"], **{option: value}))


def test_nothing_stays_on_the_machine(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(remote_shell, "DIRECTORIES", str(tmp_path))
    numbers = itertools.count()  # one name for two scripts, and one would start itself for ever
    monkeypatch.setattr(remote_script, "temporary", lambda: f"temporary{next(numbers)}")
    for shell in (Shell(inline=["false"]), Shell(inline=["false"], execute_command="sh {{.Path}}")):
        with pytest.raises(CommandError):
            machine.provision(shell)
        assert list(tmp_path.glob("temporary*")) == []
    assert next(numbers) > 1


@pytest.mark.parametrize("kind", [Shell, ShellLocal, File])
def test_options_have_packers_names(kind: type[Provisioner]) -> None:
    packers = {
        *("only", "except", "override", "pause_before", "max_retries", "timeout"),
        *("inline", "script", "scripts", "environment_vars", "execute_command", "inline_shebang"),
        *("remote_path", "expect_disconnect", "valid_exit_codes", "pause_after", "only_on"),
        *("command", "source", "sources", "content", "destination", "direction"),
    }
    assert {f.name.rstrip("_") for f in dataclasses.fields(kind)} <= {*packers, "sudo"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("1.5m", 90), ("500ms", 0.5), (7, 7), (0.5, 0.5), ("0s", 0)],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert duration.seconds("timeout", text) == seconds


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1h 30m", -1, True, "-1s"])
def test_no_durations(text: str | float) -> None:
    with pytest.raises(ConfigurationError, match=r"timeout=.* is no duration"):
        duration.seconds("timeout", text)
