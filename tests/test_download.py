"""Downloads from a real web server that has every fault in turn."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from harness import cache, checksum, fetch, progress
from harness.checksum import Checksum
from harness.download import Download
from harness.errors import CancelledError, ConfigurationError, SourceError
from harness.events import Event, Notice, Progress
from tests.fileserver import FileServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.sources.base import Context

CONTENT = os.urandom(3_000_000)
SHA256 = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())
WRONG = Checksum("sha256", "0" * 64)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "disk.qcow2").write_bytes(CONTENT)
    return folder


@pytest.fixture
def server(files: Path) -> Iterator[FileServer]:
    with FileServer(files) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSES", (0.0, 0.0))


def in_cache() -> list[str]:
    """What downloads left, but for locks and markers."""
    names = (cache.directory() / "downloads").glob("*")
    beside = (".lock", ".users")
    return sorted(
        path.name.partition("-")[0] + path.suffix for path in names if path.suffix not in beside
    )


def get(server: FileServer, context: Context, expected: Checksum | None = SHA256) -> Path:
    return Download((server.url("disk.qcow2"),), expected).path(context)


def test_a_file_is_fetched_once(server: FileServer, context: Context, events: list[Event]) -> None:
    for _ in range(2):
        assert get(server, context).read_bytes() == CONTENT
    assert server.requests == ["/disk.qcow2"]
    assert events == [Notice("web.qemu", f"downloading {server.url('disk.qcow2')}")]


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([("cut", 1_000_000)], ["/disk.qcow2", "/disk.qcow2 bytes=1000000-"]),
        (
            [("cut", 1_000_000), 503, ("cut", 500_000)],
            ["/disk.qcow2", *["/disk.qcow2 bytes=1000000-"] * 2, "/disk.qcow2 bytes=1500000-"],
        ),
        ([("cut", 0), 500], ["/disk.qcow2"] * 3),
        ([429], ["/disk.qcow2"] * 2),
        ([("stall", 1_000_000)], ["/disk.qcow2", "/disk.qcow2 bytes=1000000-"]),
    ],
    ids=str,
)
def test_what_passes_is_overcome(
    server: FileServer,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    faults: list[int | tuple[str, int]],
    requests: list[str],
) -> None:
    monkeypatch.setattr(fetch, "STALL_SECONDS", 0.5)
    server.faults = faults
    assert get(server, context).read_bytes() == CONTENT
    assert server.requests == requests


def test_a_server_without_ranges_sends_it_again(files: Path, context: Context) -> None:
    with FileServer(files, ranges=False) as server:
        server.faults = [("cut", 1_000_000)]
        assert get(server, context).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "asked", "reason"),
    [
        (404, 1, "404 Not Found"),
        (503, 3, "503 Service Unavailable"),
        (("cut", 0), 3, "the connection ended after 0 of 3000000 bytes"),
    ],
    ids=["404", "503", "cut"],
)
def test_what_does_not_pass_is_an_error(
    server: FileServer, context: Context, fault: int | tuple[str, int], asked: int, reason: str
) -> None:
    server.faults = [fault] * 9
    with pytest.raises(SourceError, match=f"/disk.qcow2: {reason}"):
        get(server, context)
    assert server.requests == ["/disk.qcow2"] * asked


def test_a_later_run_goes_on(server: FileServer, context: Context) -> None:
    server.faults = [("cut", 1_000_000), *[500] * 9]
    with pytest.raises(SourceError, match=r"976\.6 KiB are kept; the next run goes on from there"):
        get(server, context)
    assert in_cache() == ["sha256.partial"]
    server.faults, server.requests = [], []
    assert get(server, context).read_bytes() == CONTENT
    assert server.requests == ["/disk.qcow2 bytes=1000000-"]
    assert in_cache() == ["sha256"]


@pytest.mark.parametrize("kept", [b"x" * 1000, CONTENT + b"x", CONTENT], ids=len)
def test_a_part_that_does_not_fit_is_dropped(
    server: FileServer, context: Context, kept: bytes
) -> None:
    partial = cache.directory() / "downloads" / f"sha256-{SHA256.digits}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(kept)
    assert get(server, context).read_bytes() == CONTENT


@pytest.mark.parametrize("faults", [[], [("cut", 1000)]], ids=["at once", "in parts"])
def test_another_file_than_expected_is_an_error_and_nothing_stays(
    server: FileServer, context: Context, faults: list[int | tuple[str, int]]
) -> None:
    server.faults = faults
    with pytest.raises(SourceError, match=f"expected {WRONG}\n  received {SHA256}"):
        get(server, context, WRONG)
    assert in_cache() == []


def test_mirrors_are_tried_in_their_order(server: FileServer, context: Context) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/disk.qcow2"
        urls = (dead, server.url("missing/disk.qcow2"), server.url("disk.qcow2"))
        assert Download(urls, SHA256).path(context).read_bytes() == CONTENT
        with pytest.raises(SourceError) as error:
            Download(urls[:2], WRONG).path(context)
    assert f"{dead}: Connection refused" in str(error.value)
    assert f"{urls[1]}: 404 File not found" in str(error.value)


def test_an_unverified_file_is_fetched_again_when_it_has_changed(
    server: FileServer, context: Context, files: Path
) -> None:
    for content in (CONTENT, b"newer"):
        (files / "disk.qcow2").write_bytes(content)
        for _ in range(2):
            assert get(server, context, None).read_bytes() == content
    assert len(server.requests) == 6, "each time a look, twice a download"


def test_progress_is_told(
    server: FileServer, context: Context, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
    get(server, context)
    told = [event for event in events if isinstance(event, Progress)]
    assert told[-1] == Progress("web.qemu", told[0].what, len(CONTENT), len(CONTENT))
    assert told[-1].text == f"downloading {server.url('disk.qcow2')}: 2.9 MiB of 2.9 MiB (100 %)"


def test_a_stopped_run_does_not_wait_for_the_network(server: FileServer, context: Context) -> None:
    server.faults = [("stall", 1000)]
    threading.Timer(0.3, context.cancel.cancel).start()
    with pytest.raises(CancelledError):
        get(server, context)
    assert in_cache() == ["sha256.partial"]


def test_two_that_want_it_at_once_fetch_it_once(server: FileServer, context: Context) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(get(server, context))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0].read_bytes() == CONTENT
    assert server.requests == ["/disk.qcow2"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
@pytest.mark.parametrize("told", [True, False], ids=["known before", "found out"])
def test_a_full_disk_is_an_error_and_nothing_stays(
    server: FileServer, context: Context, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    directory = cache.directory() / "downloads"
    directory.mkdir(parents=True)
    if not told:
        monkeypatch.setattr(fetch._Transfer, "_check_room", lambda *_: None)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], check=True)
    try:
        with pytest.raises(SourceError, match=r"too small .* free in .* XDG_CACHE_HOME") as error:
            get(server, context)
        assert isinstance(error.value.__cause__, OSError)
        assert error.value.__cause__.errno == errno.ENOSPC
        assert in_cache() == []
    finally:
        context.pins.close()
        subprocess.run(["umount", directory], check=True)


# The option


def test_a_checksum_comes_from_a_list(server: FileServer, context: Context, files: Path) -> None:
    listing = f"{SHA256.digits}  disk.qcow2\n"
    (files / "SHA256SUMS").write_text(listing)
    (context.directory / "sums").write_text(listing)
    for value in (f"file:{server.url('SHA256SUMS')}", "file:sums", f"file:{context.root}/sums"):
        checksum.check("base_checksum", value, context)
        assert checksum.resolve("base_checksum", value, {"disk.qcow2"}, context) == SHA256
    with pytest.raises(SourceError, match="/none: 404"):
        checksum.resolve("base_checksum", f"file:{server.url('none')}", {"x"}, context)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("file:nowhere", "there is no such file"),
        ("file:ftp://example.org/SUMS", "starts with http"),
        ("sha256:1", "is no checksum"),
    ],
)
def test_a_wrong_checksum_option_is_refused(context: Context, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        checksum.check("base_checksum", value, context)
