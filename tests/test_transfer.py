from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import ssh, transfer
from harness.errors import CancelledError, TransferError
from harness.model import CommandResult
from tests import sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.ssh import Connection

    Copy = Callable[[Connection, str, str, Path], None]

MIB = 1024 * 1024
ODD_NAMES = ["with space", "new\nline", "ünï", "-dash", "it's", '"', "$x", "*", "a" * 150, "\udcff"]


@pytest.fixture(scope="module", params=["usual", "busybox"])
def connection(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Connection]:
    environment = ""
    if request.param == "busybox":  # and nothing else but the shell
        if shutil.which("busybox") is None:
            pytest.skip("busybox is not installed")
        programs = tmp_path_factory.mktemp("busybox")
        subprocess.run(["busybox", "--install", "-s", programs], check=True)
        environment = f"PATH={programs}"
    with sshd.running(tmp_path_factory.mktemp("sshd"), environment=environment) as server:
        connection = ssh.connect(server.endpoint, timeout=20)
        yield connection
        connection.close()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


type_of = {stat.S_IFDIR: "folder", stat.S_IFREG: "file", stat.S_IFLNK: "link"}


def tree(root: Path) -> dict[str, tuple[str, int, int, bytes]]:
    """Everything below: kind, mode, time (of files) and content."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            status = path.lstat()
            kind = type_of[stat.S_IFMT(status.st_mode)]
            if kind == "link":
                found[str(path.relative_to(root))] = (kind, 0, 0, os.fsencode(path.readlink()))
                continue
            content = path.read_bytes() if kind == "file" else b""
            time = int(status.st_mtime) if kind == "file" else 0
            found[str(path.relative_to(root))] = (kind, stat.S_IMODE(status.st_mode), time, content)
    return found


def make_site(parent: Path) -> Path:
    site = parent / "site"
    (site / "sub/empty").mkdir(parents=True)
    (site / "index.html").write_bytes(bytes(range(256)) * 100)
    (site / "run").write_text("#!/bin/sh\n")
    (site / "run").chmod(0o755)
    (site / "secret").write_text("s")
    (site / "secret").chmod(0o600)
    (site / "nothing").touch()
    (site / "sub/link").symlink_to("../index.html")
    (site / "sub/folder link").symlink_to("empty")
    (site / "dangling").symlink_to("/nowhere/at/all")
    os.link(site / "run", site / "sub/run again")
    for name in ODD_NAMES:
        (site / "sub" / name).write_text(name.encode(errors="surrogateescape").hex())
    os.utime(site / "index.html", (1_000_000_000, 1_000_000_000))
    os.utime(site / "sub", (1_100_000_000, 1_100_000_000))
    (site / "sub/empty").chmod(0o750)
    return site


def put(connection: Connection, source: str, target: str, base: Path) -> None:
    transfer.put(connection, source, target, base=base)


def get(connection: Connection, source: str, target: str, base: Path) -> None:
    transfer.get(connection, f"{base}/{source}", target, base=Path("/nowhere"))


both_ways = pytest.mark.parametrize("copy", [put, get])


@pytest.mark.sshd
@both_ways
@pytest.mark.parametrize(
    ("source", "target", "arrives"),
    [
        ("site", "", "site"),
        ("site", "/", "site"),
        ("site", "/new/deep", "new/deep/site"),
        ("site/", "/site", "site"),
        ("site/", "/new/deep/", "new/deep"),
        ("site/", "", ""),
        ("site/.", "/x", "x"),
    ],
)
def test_a_folder(  # noqa: PLR0917
    connection: Connection, here: Path, there: Path, copy: Copy, source: str, target: str,
    arrives: str,
) -> None:  # fmt: skip
    site = make_site(here)
    copy(connection, source, f"{there}{target}", here)
    assert tree(there / arrives) == tree(site)


@pytest.mark.sshd
@both_ways
@pytest.mark.parametrize(
    ("target", "arrives"),
    [("/new", "new"), ("", "file"), ("/", "file"), ("/a/b/", "a/b/file"), ("/a/b", "a/b")],
)
def test_a_file(  # noqa: PLR0917
    connection: Connection, here: Path, there: Path, copy: Copy, target: str, arrives: str
) -> None:
    file = here / "file"
    file.write_bytes(os.urandom(1000))
    file.chmod(0o4751)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    copy(connection, "file", f"{there}{target}", here)
    arrived = there / arrives
    assert arrived.read_bytes() == file.read_bytes()
    assert stat.S_IMODE(arrived.stat().st_mode) == 0o751
    assert arrived.stat().st_mtime == 1_000_000_000
    assert [p.name for p in arrived.parent.iterdir()] == [arrived.name]


@pytest.mark.sshd
@both_ways
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(connection: Connection, here: Path, there: Path, copy: Copy, name: str) -> None:
    (here / name).write_text("x")
    copy(connection, name, f"{there}/{name}", here)
    (here / "folder").mkdir()
    (here / name).rename(here / "folder" / name)
    (here / "folder").rename(here / name)
    copy(connection, name, f"{there}/into {name}", here)
    assert (there / name).read_text() == (there / f"into {name}" / name / name).read_text() == "x"


@pytest.mark.sshd
@both_ways
def test_a_link_that_is_the_source_is_followed(
    connection: Connection, here: Path, there: Path, copy: Copy
) -> None:
    site = make_site(here)
    (here / "folder").symlink_to("site")
    (here / "file").symlink_to("site/run")
    copy(connection, "folder", str(there), here)
    copy(connection, "file", str(there), here)
    assert tree(there / "folder") == tree(site)
    assert (there / "file").read_text() == "#!/bin/sh\n"
    assert not (there / "file").is_symlink()


@pytest.mark.sshd
@both_ways
def test_read_only_folders_and_times_of_folders(
    connection: Connection, here: Path, there: Path, copy: Copy, request: pytest.FixtureRequest
) -> None:
    if copy is put and "busybox" in request.node.name:
        pytest.skip("busybox's tar knows neither")
    locked = make_site(here) / "locked"
    (locked / "below").mkdir(parents=True)
    (locked / "below/file").touch()
    for folder in (locked / "below", locked):
        folder.chmod(0o555)
        os.utime(folder, (1_200_000_000, 1_200_000_000))
    copy(connection, "site", str(there), here)
    arrived = there / "site/locked"
    for folder, time in (
        (arrived, 1_200_000_000),
        (arrived / "below", 1_200_000_000),
        (there / "site/sub", 1_100_000_000),
    ):
        status = folder.stat()
        assert status.st_mtime == time
        assert stat.S_IMODE(status.st_mode) == stat.S_IMODE(
            (here / folder.relative_to(there)).stat().st_mode
        )
    for folder in (locked, locked / "below", arrived, arrived / "below"):
        folder.chmod(0o755)  # so that pytest can clean up


@pytest.mark.sshd
@both_ways
def test_what_exists_is_replaced(
    connection: Connection, here: Path, there: Path, copy: Copy
) -> None:
    site = make_site(here)
    copy(connection, "site", str(there), here)
    (site / "index.html").write_text("new")
    (there / "site/more").write_text("stays")
    for _ in range(2):
        copy(connection, "site", str(there), here)
    assert (there / "site/index.html").read_text() == "new"
    assert (there / "site/more").read_text() == "stays"


@pytest.mark.sshd
@both_ways
def test_contents_do_not_change_the_folder_they_go_to(
    connection: Connection, here: Path, there: Path, copy: Copy
) -> None:
    make_site(here).chmod(0o700)
    there.chmod(0o1777)
    copy(connection, "site/", str(there), here)
    assert stat.S_IMODE(there.stat().st_mode) == 0o1777


@pytest.mark.sshd
@both_ways
def test_large_files(connection: Connection, here: Path, there: Path, copy: Copy) -> None:
    (here / "site").mkdir()
    (here / "site/large").write_bytes(os.urandom(MIB) * 30)
    copy(connection, "site/", str(there), here)
    copy(connection, "site/large", f"{there}/single", here)
    large = (here / "site/large").read_bytes()
    assert (there / "large").read_bytes() == large
    assert (there / "single").read_bytes() == large


@pytest.mark.sshd
@pytest.mark.parametrize("what", ["folder", "folder/file"])
def test_it_is_told_how_far_it_is(
    connection: Connection, here: Path, there: Path, what: str
) -> None:
    (here / "folder").mkdir()
    (here / "folder" / "file").write_bytes(bytes(MIB))
    told: dict[str, list[tuple[int, int | None]]] = {"put": [], "get": []}
    transfer.put(
        connection, what, str(there), base=here, progress=lambda *far: told["put"].append(far)
    )
    transfer.get(
        connection,
        f"{here}/{what}",
        f"{there}/",
        base=here,
        progress=lambda *f: told["get"].append(f),
    )
    for far in told.values():
        assert far == sorted(far, key=lambda pair: pair[0])
        assert far[-1][0] > MIB / 2
    (*_, (done, total)), (*_, (_, known)) = told["put"], told["get"]
    assert total
    assert MIB <= total < MIB + 8192
    assert done <= total
    assert known == (None if what == "folder" else MIB)


@pytest.mark.sshd
def test_a_relative_remote_path_starts_at_home(connection: Connection, here: Path) -> None:
    name = f"harness-test-{os.getpid()}"
    (here / "file").write_text("x")
    try:
        transfer.put(connection, "file", f"~/{name}", base=here)
        assert (Path.home() / name).read_text() == "x"
        transfer.get(connection, name, "back", base=here)
        assert (here / "back").read_text() == "x"
    finally:
        (Path.home() / name).unlink(missing_ok=True)


# What goes wrong


class Nobody:
    def run(self, command: str, **_: Any) -> CommandResult:
        raise AssertionError(f"something was sent: {command}")


@pytest.mark.parametrize(
    ("local", "message"),
    [
        ("sitte", "put: sitte .relative to .*here. does not exist; .*here has site$"),
        ("site/idnex.html", "does not exist; .*site has index.html$"),
        ("no/way", "does not exist; .*here has file, site$"),
        ("file/", "is not a folder|does not exist"),
        ("/nowhere/x", "put: /nowhere/x does not exist; / has "),
    ],
)
def test_a_missing_source_is_told_before_anything_is_sent(
    here: Path, local: str, message: str
) -> None:
    (here / "site").mkdir()
    (here / "site/index.html").touch()
    (here / "site/other").touch()
    (here / "file").touch()
    with pytest.raises(TransferError, match=message):
        transfer.put(Nobody(), local, "/tmp", base=here)


@pytest.mark.sshd
def test_a_missing_remote_source(connection: Connection, here: Path, there: Path) -> None:
    with pytest.raises(TransferError, match=r"get .*exit status 1: .*nothing: no such file"):
        transfer.get(connection, f"{there}/nothing", "x", base=here)
    assert list(here.iterdir()) == []


@pytest.mark.sshd
@pytest.mark.parametrize("source", ["site", "site/index.html"])
@pytest.mark.parametrize("target", ["/proc/no/such", "/dev/full/x"])
def test_what_the_machine_says_is_in_the_error(
    connection: Connection, here: Path, source: str, target: str
) -> None:
    make_site(here)
    with pytest.raises(TransferError, match=r"put .* to /.*: exit status \d+: .*[a-z]"):
        transfer.put(connection, source, target, base=here)


@pytest.mark.sshd
def test_no_space_leaves_nothing_half_made(
    connection: Connection, here: Path, tmp_path: Path
) -> None:
    (here / "large").write_bytes(bytes(3 * MIB))
    target = f"{tmp_path}/there"
    limited = Limited(connection)
    with pytest.raises(TransferError, match=r"(?i)file too large|bytes came"):
        transfer.put(limited, "large", target, base=here)
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


class Limited:
    """A machine that is out of space after a MiB."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, command: str, *, text: str | None = None, **options: Any) -> CommandResult:
        limited = f"trap '' XFSZ; ulimit -f 2048; {text}"
        return self._connection.run(command, text=limited, **options)


@pytest.mark.sshd
def test_a_file_that_shrinks_meanwhile(connection: Connection, here: Path, there: Path) -> None:
    class Shrinking:
        def run(self, command: str, **options: Any) -> CommandResult:
            (here / "file").write_text("short")
            return connection.run(command, **options)

    (here / "file").write_bytes(bytes(1000))
    with pytest.raises(TransferError, match="only 5 of 1000 bytes came"):
        transfer.put(Shrinking(), "file", str(there), base=here)
    assert list(there.iterdir()) == []


@pytest.mark.sshd
def test_a_socket_cannot_be_put(
    connection: Connection, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "site").mkdir()
    monkeypatch.chdir(here / "site")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("control")
        with pytest.raises(TransferError, match="site/control is a socket"):
            transfer.put(connection, "site", str(there), base=here)


class Canned:
    """A machine that sends what it likes."""

    def __init__(self, data: bytes, status: int = 0, stderr: bytes = b"") -> None:
        self._data = io.BytesIO(data)
        self._result = CommandResult("tar", status, b"", stderr)

    @contextlib.contextmanager
    def stream(self, command: str, **_: Any) -> Iterator[Canned]:
        del command
        yield self

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(size)

    def finish(self) -> CommandResult:
        return self._result


def archive(*members: tuple[str, dict[str, object]], data: bytes = b"evil") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, values in members:
            info = tarfile.TarInfo(name)
            for key, value in values.items():
                setattr(info, key, value)
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


FOLDER: tuple[str, dict[str, object]] = (".", {"type": tarfile.DIRTYPE, "mode": 0o755})


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", {})],
        [("a/../../evil", {})],
        [("OUT/evil", {})],
        [("link", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("link/evil", {})],
        [("link", {"type": tarfile.SYMTYPE, "linkname": "OUT"}), ("link/evil", {})],
        [("hard", {"type": tarfile.LNKTYPE, "linkname": "../mine"}), ("hard", {})],
        [("link", {"type": tarfile.SYMTYPE, "linkname": "../mine"}), ("link", {})],
    ],
)
def test_a_machine_writes_nowhere_else(
    tmp_path: Path, members: list[tuple[str, dict[str, object]]]
) -> None:
    (tmp_path / "mine").write_text("mine")
    outside = [
        (n.replace("OUT", str(tmp_path)), {k: _outside(v, tmp_path) for k, v in values.items()})
        for n, values in members
    ]
    with contextlib.suppress(TransferError):
        transfer.get(Canned(archive(FOLDER, *outside)), "/x/", "in", base=tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "mine"]


def _outside(value: object, tmp_path: Path) -> object:
    return value.replace("OUT", str(tmp_path)) if isinstance(value, str) else value


def test_a_stream_that_breaks_off_leaves_nothing_half_made(tmp_path: Path) -> None:
    whole = archive(("file", {}), data=bytes(100_000))
    with pytest.raises(TransferError, match=r"get /x/file to .*: unexpected end of data"):
        transfer.get(Canned(whole[:50_000]), "/x/file", "file", base=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_grows_meanwhile_is_no_failure(tmp_path: Path) -> None:
    growing = Canned(archive(("log", {})), 1, b"tar: ./log: file changed as we read it\n")
    transfer.get(growing, "/var/log/log", "log", base=tmp_path)
    assert (tmp_path / "log").read_text() == "evil"


def test_a_file_that_shrinks_meanwhile_leaves_nothing_half_made(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("as before")
    said = b"tar: ./log: File shrank by 4 bytes; padding with zeros\n"
    with pytest.raises(TransferError, match=r"get /var/log/log to .*: File shrank by 4 bytes"):
        transfer.get(Canned(archive(("log", {})), 1, said), "/var/log/log", "log", base=tmp_path)
    assert (tmp_path / "log").read_text() == "as before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.sshd
@pytest.mark.parametrize("path", ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_files_whose_size_only_reading_tells(
    connection: Connection, here: Path, tmp_path: Path, path: str
) -> None:
    (tmp_path / "link").symlink_to(path)
    content = Path(path).read_bytes()
    assert content
    for source in (path, f"{tmp_path}/link"):
        transfer.get(connection, source, "copy", base=here)
        assert (here / "copy").read_bytes() == content
    assert [file.name for file in here.iterdir()] == ["copy"]
    with pytest.raises(TransferError, match=r"of /proc and /sys only single files can be got"):
        transfer.get(connection, str(Path(path).parent), "folder", base=here)


def test_a_folder_that_cannot_be_written_here(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        TransferError, match=r"get /x/y to .*file/z: .*(File exists|Not a directory)"
    ):
        transfer.get(Canned(archive(("y", {}))), "/x/y", "file/z", base=tmp_path)


def test_stopping_is_not_a_failed_transfer(tmp_path: Path) -> None:
    class Stopped(Canned):
        def read(self, size: int = -1, /) -> bytes:
            del size
            raise CancelledError("the run is being stopped")

    with pytest.raises(CancelledError):
        transfer.get(Stopped(b""), "/x", "y", base=tmp_path)
