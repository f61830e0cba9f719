"""harness cache list, prune and clear."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness import cache
from harness.cancel import CancelToken
from harness.cli import main
from harness.pins import Pins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_CACHE_SIZE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def user() -> Iterator[Pins]:
    user = Pins()
    yield user
    user.close()


def pin(user: Pins, kind: str, name: str, needs: Sequence[Path] = ()) -> Path:
    def make(partial: Path) -> None:
        partial.write_bytes(os.urandom((1 << 20) - 4096))  # a page is the marker's

    path = cache.directory() / kind / name.split(",", maxsplit=1)[0]
    return user.entry(path, CancelToken(), make, name=name, needs=needs)


@pytest.fixture
def entries(user: Pins) -> None:
    """A base, an old download, and a state on the base, of a MiB each; none is in use."""
    base = pin(user, "bases", "debian-12")
    pin(user, "downloads", "example.org disk.qcow2")
    pin(user, "states", "debian-12, 1024 MiB, 2 CPUs, tcg", needs=[base])
    user.close()
    for number, path in enumerate(("downloads/*", "bases/*", "states/*"), start=1):
        for marker in cache.directory().glob(f"{path}.users"):
            os.utime(marker, (number, number))


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["cache", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_an_empty_cache(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "list") == [f"0 B of at most 20.0 GiB, in {cache.directory()}"]
    assert output(capsys, "prune") == ["nothing to remove", "left: 0 B of at most 20.0 GiB"]
    assert output(capsys, "clear") == ["nothing to remove"]


@pytest.mark.usefixtures("entries")
def test_what_is_there_is_listed(
    capsys: pytest.CaptureFixture[str], user: Pins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    pin(user, "bases", "debian-12")
    (cache.directory() / "downloads/x.partial").touch()
    (cache.directory() / "downloads/x.users").write_text('{"name": "half of it"}')
    os.utime(cache.directory() / "downloads/x.users", (0, 0))
    header, *rows, total = output(capsys, "list")
    assert header.split("  ")[0] == "KIND"
    table = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]
    assert [(row[0], row[1], row[-1]) for row in table] == [
        ("downloads", "half of it (unfinished)", "no"),
        ("downloads", "example.org disk.qcow2", "no"),
        ("states", "debian-12, 1024 MiB, 2 CPUs, tcg", "no"),
        ("bases", "debian-12", "yes"),
    ]
    assert table[1][2:4] == ["1.0 MiB", "1970-01-01 00:00"]
    assert total == f"3.0 MiB of at most 20.0 GiB, in {cache.directory()}"
    assert len({row.rindex("  ") for row in [header, *rows]}) == 1, "columns are aligned"


@pytest.mark.usefixtures("entries")
def test_pruning_to_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "prune", "--size", "2M") == [
        "removed: downloads/example.org disk.qcow2, 1.0 MiB",
        "freed: 1.0 MiB",
        "left: 2.0 MiB of at most 2.0 MiB",
    ]
    assert output(capsys, "prune") == ["nothing to remove", "left: 2.0 MiB of at most 20.0 GiB"]


@pytest.mark.usefixtures("entries")
def test_pruning_to_the_projects_bound(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.harness]\ncache_size = '2M'")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert output(capsys, "prune")[-1] == "left: 2.0 MiB of at most 2.0 MiB"
    monkeypatch.setenv("HARNESS_CACHE_SIZE", "1M")
    assert output(capsys, "prune")[0] == "removed: states/debian-12, 1024 MiB, 2 CPUs, tcg, 1.0 MiB"


@pytest.mark.usefixtures("entries")
def test_what_is_in_use_stays(capsys: pytest.CaptureFixture[str], user: Pins) -> None:
    base = cache.directory() / "bases" / "debian-12"
    pin(user, "states", "debian-12, 1024 MiB, 2 CPUs, tcg", needs=[base])
    user.release(base)
    assert output(capsys, "prune", "--size", "1M")[-1] == (
        "left: 2.0 MiB of at most 1.0 MiB, since the rest is in use"
    )
    assert output(capsys, "clear") == [
        "nothing to remove",
        "left, needed by what is in use: bases/debian-12, 1.0 MiB",
        "left, in use: states/debian-12, 1024 MiB, 2 CPUs, tcg, 1.0 MiB",
    ]
    user.close()
    note = cache.directory() / "images" / "of-some-inputs.json"
    note.parent.mkdir()
    note.write_text("{}")
    assert output(capsys, "clear")[-1] == "freed: 2.0 MiB"
    assert not note.exists()
    assert output(capsys, "list")[:-1] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cache"], "the following arguments are required: list|prune|clear"),
        (["cache", "purge"], "(choose from 'list', 'prune', 'clear')"),
        (["cache", "prune", "--size", "5X"], """size='5X' is no size: write "10G", "4096M", or"""),
    ],
)
def test_a_wrong_command_is_told(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_wrong_setting_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_SIZE", "much")
    for verb in ("list", "prune"):
        assert main(["cache", verb]) == 2
        assert capsys.readouterr().err == (
            "harness: HARNESS_CACHE_SIZE='much' is no size: "
            'write "10G", "4096M", or a number of MiB\n'
        )
