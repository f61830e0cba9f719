"""Files and folders to and from a machine: one stream each, nothing but sh and tar over there.

The rules are rsync's: a folder ``site`` goes to ``target/site``, and ``site/`` means its contents.
A file goes into the target if that ends in a slash or is a directory, else takes that name.
Missing directories are made. Modes (not setuid), times (busybox tar forgets those of
folders) and symbolic links are kept, owners are not; a link that is itself the source is followed.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import shlex
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from harness import archive
from harness.archive import CHUNK
from harness.errors import HarnessError, TransferError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from harness.model import CommandResult

    Progress = Callable[[int, int | None], None]
    """Called again and again: so many bytes are done, of so many; None: who knows of how many."""

NEARBY = 8

# Beside the target and renamed: nobody ever sees half a file.
_PUT_FILE = """
set -e
case $target in */) ;; *) [ ! -d "$target" ] || target=$target/ ;; esac
case $target in */) target=$target$name ;; esac
[ ! -d "$target" ] || { echo "$target is a directory" >&2; exit 1; }
parent=${target%/*}
[ "$parent" != "$target" ] || parent=.
mkdir -p "$parent/"
temporary=$(mktemp "$parent/.harness.XXXXXXXXXX")
trap 'rm -f "$temporary"' EXIT
cat >"$temporary"
got=$(wc -c <"$temporary")
[ "$got" -eq "$size" ] || { echo "only $got of $size bytes came" >&2; exit 1; }
touch -d "@$time" "$temporary"
chmod "$mode" "$temporary"
mv -f "$temporary" "$target"
"""

_PUT_FOLDER = 'mkdir -p "$target" && exec tar -x -p -o -f - -C "$target"'

# A terminal gets no archive from tar. In /proc and /sys a file's size is known when it is read.
_GET = """
send() {
  [ -t 1 ] || { tar -c -f - "$@"; return; }
  exec 4>&1
  return "$({ { tar -c -f - "$@" 3>&- 4>&-; echo $? >&3; } | cat >&4; } 3>&1)"
}
case $(readlink -f "$path")/ in /proc/*|/sys/*) sized= ;; *) sized=1 ;; esac
if [ -d "$path" ] && [ ! "$sized" ]; then
  echo "$path: of /proc and /sys only single files can be got" >&2; exit 1
elif [ -d "$path" ]; then send -C "$path" .
elif [ -f "$path" ] && { [ ! "$sized" ] || [ ! -s "$path" ]; }; then
  copy=$(mktemp -d "${TMPDIR:-/tmp}/harness.XXXXXXXXXX") || exit 1
  trap 'rm -rf "$copy"' EXIT
  cp -p "$path" "$copy/file" && send -C "$copy" ./file
elif [ -e "$path" ]; then send -h -C "$parent" "./$name"
else echo "$path: no such file or directory" >&2; exit 1
fi
"""

# GNU tar, with exit status 1; only get can meet it.
_HARMLESS = ("file changed as we read it", "file removed before we read it")


class Runner(Protocol):
    """What `put` needs of a connection."""

    def run(
        self,
        command: str,
        *,
        text: str | None = None,
        stdin: bytes | Iterable[bytes] = b"",
        timeout: float | None = None,
    ) -> CommandResult: ...


class Source(Protocol):
    """A stream that is being fetched."""

    def read(self, size: int = -1, /) -> bytes: ...
    def finish(self) -> CommandResult: ...


class Streamer(Protocol):
    """What `get` needs of a connection."""

    def stream(
        self, command: str, *, text: str | None = None, timeout: float | None = None
    ) -> AbstractContextManager[Source]: ...


def silent(_done: int, _total: int | None) -> None:
    """Nobody wants to know how far it is."""


def put(
    connection: Runner,
    local: str,
    remote: str,
    *,
    base: Path,
    timeout: float | None = None,
    progress: Progress = silent,
) -> None:
    """Copy a local file or folder to the machine.

    Args:
        connection: the machine's.
        local: a trailing slash means the contents of a folder.
        remote: relative paths, and ``~/``, start at the user's home.
        base: where a relative ``local`` starts.
        timeout: seconds until it is given up; None: never.
        progress: told how many bytes are sent, and of how many.

    Raises:
        TransferError: ``local`` does not exist or cannot be read, or the machine refused.
        CommandTimeoutError, CancelledError, DisconnectedError: see `harness.ssh.Connection.run`.
    """
    source = _existing(local, base)
    what = f"put {source} to {remote}"
    send = functools.partial(connection.run, what, timeout=timeout)
    try:
        if source.is_dir():
            script, stream, size = _folder(source, remote, contents=_means_contents(local))
            result = send(text=script, stdin=_told(stream, size, progress))
        else:
            result = _put_file(send, source, remote, progress)
    except HarnessError:
        raise
    except OSError as error:
        raise TransferError(f"{what}: {error}") from error
    _require(result, what)


def put_content(
    connection: Runner, content: bytes, remote: str, *, mode: int, timeout: float | None = None
) -> None:
    """Write bytes to a file on the machine, whole or not at all.

    Raises:
        TransferError: the machine refused.
        CommandTimeoutError, CancelledError, DisconnectedError: see `put`.
    """
    if remote.endswith("/"):
        raise TransferError(f"write {remote}: content needs a file's name, not a folder's")
    what = f"write {len(content)} bytes to {remote}"
    script = _file_script(remote, "", len(content), int(time.time()), mode)
    stdin = content or [content]  # even of nothing: the script reads what it is given
    _require(connection.run(what, text=script, stdin=stdin, timeout=timeout), what)


def get(
    connection: Streamer,
    remote: str,
    local: str,
    *,
    base: Path,
    timeout: float | None = None,
    progress: Progress = silent,
) -> None:
    """Copy a file or folder from the machine.

    Args:
        connection: the machine's.
        remote: relative paths, and ``~/``, start at the user's home; a trailing slash means the
            contents of a folder.
        local: where to.
        base: where a relative ``local`` starts.
        timeout: seconds until it is given up; None: never.
        progress: told how many bytes have come, and of how many where it is a file.

    Raises:
        TransferError: ``remote`` does not exist or cannot be read, or ``local`` cannot be written.
        CommandTimeoutError, CancelledError, DisconnectedError: see `put`.
    """
    target = _Target(remote, local, base)
    path = _remote(remote).rstrip("/") or "/"
    parent, _, name = path.rpartition("/")
    values = _values(path=path, parent=parent or ("/" if "/" in path else "."), name=name)
    what = f"get {remote} to {target.path}"
    with connection.stream(what, text=values + _GET, timeout=timeout) as source:
        damage: tarfile.TarError | None = None
        try:
            target.unpack(_Watched(source, progress), lambda: _require(source.finish(), what))
        except tarfile.TarError as error:
            damage = error  # what the machine says is the better reason
        except HarnessError:
            raise
        except OSError as error:
            raise TransferError(f"{what}: {error}") from error
        _require(source.finish(), what)
    if damage is not None:
        raise TransferError(f"{what}: {damage}") from damage


def _put_file(
    send: Callable[..., CommandResult], source: Path, remote: str, progress: Progress
) -> CommandResult:
    with source.open("rb") as file:
        status = os.fstat(file.fileno())
        size, mtime = status.st_size, int(status.st_mtime)
        script = _file_script(remote, source.name, size, mtime, status.st_mode & 0o777)
        return send(text=script, stdin=_told(archive.content(file, size), size, progress))


def _file_script(remote: str, name: str, size: int, mtime: int, mode: int) -> str:
    target = _remote(remote)
    values = _values(target=target, name=name, size=size, time=mtime, mode=f"{mode:o}")
    return values + _PUT_FILE


def _folder(source: Path, remote: str, *, contents: bool) -> tuple[str, Iterator[bytes], int]:
    """The script that unpacks a folder, what it reads, and about how much that is."""
    target = _remote(remote) if contents else f"{_remote(remote).rstrip('/')}/{source.name}"
    folder = archive.Folder(source.resolve(), contents=contents)
    return _values(target=target) + _PUT_FOLDER, folder.stream(), folder.size


def _told(chunks: Iterable[bytes], size: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        progress(done, size)
        yield chunk
        done += len(chunk)


def _means_contents(path: str) -> bool:
    return path.rpartition("/")[2] in {"", ".", ".."}


class _Watched:
    """A stream that tells how far it is; ``total`` is how much is to come, once that is known."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.total: int | None = None
        self._source = source
        self._progress = progress
        self._done = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._done += len(data)
        self._progress(self._done, self.total)
        return data


class _Target:
    """Where on this computer something from a machine goes."""

    def __init__(self, remote: str, local: str, base: Path) -> None:
        self.path = base / local
        self._contents = _means_contents(remote)
        self._into = local.endswith("/") or self.path.is_dir()
        self._name = remote.rstrip("/").rpartition("/")[2]

    def unpack(self, source: _Watched, require: Callable[[], None]) -> None:
        """Write what comes; a file takes its name only after ``require`` did not raise."""
        with _Archive.open(fileobj=cast("IO[bytes]", source), mode="r|") as tar:
            first = tar.next()
            if first is None:
                raise tarfile.ReadError("nothing came")
            if first.isdir():
                self._unpack_folder(tar)
            else:
                source.total = first.size
                self._unpack_file(tar, first, require)

    def _unpack_file(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, require: Callable[[], None]
    ) -> None:
        content = tar.extractfile(member)
        if content is None:
            raise TransferError(f"get: {member.name} is no regular file")
        target = self.path / self._name if self._into else self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(
                tempfile.NamedTemporaryFile(dir=target.parent, prefix=".harness.", delete=False)
            )
            undo.callback(Path(file.name).unlink, missing_ok=True)
            shutil.copyfileobj(content, file, CHUNK)
            file.flush()
            written = Path(file.name)
            written.chmod(member.mode & 0o777)
            os.utime(written, (member.mtime, member.mtime))
            require()
            written.replace(target)

    def _unpack_folder(self, tar: tarfile.TarFile) -> None:
        folder = self.path if self._contents else self.path / self._name
        folder.mkdir(parents=True, exist_ok=True)
        tar.extractall(folder, members=self._members(tar, os.path.realpath(folder)))  # noqa: S202 - _make_safe

    def _members(self, tar: tarfile.TarFile, root: str) -> Iterator[tarfile.TarInfo]:
        for member in tar:
            if member.isdev() or (self._contents and member.name == "."):
                continue
            if member.name != ".":
                _make_safe(member, root)
            member.mode &= 0o777
            member.uid, member.gid = os.getuid(), os.getgid()
            member.uname = member.gname = ""
            yield member


class _Archive(tarfile.TarFile):
    # Python's own filters change modes or refuse links that only point elsewhere: `_make_safe`
    # refuses what would be written elsewhere.
    extraction_filter = staticmethod(lambda member, _path: member)


def _make_safe(member: tarfile.TarInfo, root: str) -> None:
    for place in [member.name, member.linkname] if member.islnk() else [member.name]:
        parent = os.path.realpath(Path(root, place).parent)
        inside = f"{parent}/".startswith(f"{root.rstrip('/')}/")
        if inside and ".." not in place.split("/"):
            continue
        raise TransferError(f"get: refused to write {place!r}: it lies outside {root}")
    target = Path(root, member.name)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        target.unlink()  # else what comes now would go where it points


def _existing(local: str, base: Path) -> Path:
    path = base / local
    if path.exists() and (path.is_dir() or not local.endswith("/")):
        return path
    start = "" if Path(local).is_absolute() else f" (relative to {base})"
    problem = "is not a folder" if path.exists() else "does not exist"
    raise TransferError(f"put: {local}{start} {problem}; {_nearby(path)}")


def _nearby(path: Path) -> str:
    folder = next(parent for parent in path.parents if parent.is_dir())
    missing = path.relative_to(folder).parts[0]
    names = sorted(entry.name for entry in folder.iterdir())
    names = difflib.get_close_matches(missing, names, NEARBY, 0.5) or names
    more = f" and {len(names) - NEARBY} more" if len(names) > NEARBY else ""
    return f"{folder} has {', '.join(names[:NEARBY]) or 'nothing in it'}{more}"


def _remote(path: str) -> str:
    path = path.removeprefix("~/") or "."
    return f"./{path}" if path.startswith("-") else path


def _values(**values: object) -> str:
    return " ".join(f"{name}={shlex.quote(str(value))}" for name, value in values.items()) + "\n"


def _require(result: CommandResult, what: str) -> None:
    complaints = result.stderr.splitlines()
    changed = result.rc == 1 and complaints and all(c.endswith(_HARMLESS) for c in complaints)
    if result.failed and not changed:  # a log that grows is no failure
        raise TransferError(f"{what}: exit status {result.rc}: {result.stderr.strip()}")
