"""What the cache keeps and what goes: the bound, the order, parents, and other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from harness import cache, eviction, pins
from harness.cancel import CancelToken
from harness.pins import Pins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def user() -> Iterator[Pins]:
    """A build that goes on as long as the test."""
    user = Pins()
    yield user
    user.close()


def write(path: Path, size: int = MIB) -> None:
    path.write_bytes(os.urandom(size))


def pin(user: Pins, name: str, needs: Sequence[str] = (), kind: str = "things") -> Path:
    needed = [cache.directory() / kind / need / "disk" for need in needs]
    path = cache.directory() / kind / name

    def make(partial: Path) -> None:
        partial.mkdir()
        write(partial / "disk")

    return user.entry(path, CancelToken(), make, name=f"the {name}", needs=needed)


def use(name: str, needs: Sequence[str] = (), at: float = 0) -> Path:
    """Make or use an entry of one MiB, and let go of it; ``at``: seconds since 1970."""
    user = Pins()
    path = pin(user, name, needs)
    user.close()
    if at:
        os.utime(path.with_name(f"{name}.users"), (at, at))
    return path


def prune(bound: float) -> list[str]:
    """Prune to so many MiB, where markers have a little more; what went, in its order."""
    return [entry.path.name for entry in eviction.prune(int(bound * MIB) + MIB // 2)]


def left() -> list[str]:
    return [entry.path.name for entry in eviction.entries()]


def test_the_least_recently_used_goes_first() -> None:
    for at, name in enumerate("abcd", start=1):
        use(name, at=at)
    use("a", at=5)
    assert left() == ["b", "c", "d", "a"]
    assert prune(4) == []
    assert prune(2) == ["b", "c"]
    assert prune(0) == ["d", "a"]
    assert list((cache.directory() / "things").iterdir()) == [], "no locks, no markers"


def test_a_use_is_noted(user: Pins) -> None:
    use("a", at=1)
    use("b", at=2)
    pin(user, "a")
    assert left() == ["b", "a"]


def test_what_is_described_is_recognised(user: Pins) -> None:
    pin(user, "a")
    use("b")
    described = {e.path.name: (str(e), e.in_use, e.whole) for e in eviction.entries()}
    assert described == {"a": ("things/the a", True, True), "b": ("things/the b", False, True)}


def test_two_that_prune_at_once_remove_no_more_than_is_needed() -> None:
    for at, name in enumerate("abcd", start=1):
        use(name, at=at)
    first = eviction.prune(3 * MIB + MIB // 2)
    removed = [next(first).path.name]
    other = threading.Thread(target=lambda: removed.extend(prune(3)))
    other.start()
    time.sleep(0.1)
    assert list(first) == []
    other.join()
    assert removed == ["a"]


def test_what_is_in_use_is_kept_even_beyond_the_bound(user: Pins) -> None:
    pin(user, "a")
    use("b")
    assert prune(0) == ["b"]
    assert left() == ["a"]
    user.close()
    assert prune(0) == ["a"]


def test_a_parent_stays_as_long_as_a_child() -> None:
    use("base", at=1)
    use("other", at=3)
    use("state", ["base"], at=4)
    use("checkpoint", ["state"], at=5)
    os.utime(cache.directory() / "things/base.users", (1, 1))
    os.utime(cache.directory() / "things/state.users", (2, 2))
    assert not pins.discard(cache.directory() / "things/base")
    assert prune(3) == ["other"], "though both parents were used before it"
    assert prune(1) == ["checkpoint", "state"]
    assert prune(0) == ["base"]


def test_what_an_entry_needs_is_what_it_was_made_of(user: Pins) -> None:
    use("base")
    use("other")
    use("child", ["base"])
    use("child", ["other"])
    assert pins.about(cache.directory() / "things/child").needs == ["things/base"]


def test_using_a_child_is_using_its_parents(user: Pins) -> None:
    for at, name in enumerate(["base", "between"], start=1):
        use(name, at=at)
    use("child", ["base"], at=3)
    os.utime(cache.directory() / "things/base.users", (1, 1))
    pin(user, "child", ["base"])
    assert left()[0] == "between"
    assert all(pins.in_use(cache.directory() / "things" / name) for name in ("base", "child"))


def test_what_is_needed_may_be_elsewhere(tmp_path: Path, user: Pins) -> None:
    path = cache.directory() / "things" / "x"
    user.entry(path, CancelToken(), write, name="x", needs=[tmp_path / "a local disk"])
    assert pins.about(path).needs == []


def test_sparse_files_count_as_what_they_take() -> None:
    path = use("a")
    with (path / "memory").open("wb") as file:
        file.truncate(1 << 30)
    (entry,) = eviction.entries()
    assert MIB <= entry.size < 2 * MIB


def test_unfinished_things_count_and_go(user: Pins) -> None:
    """The beginning of a download, which a later run may complete."""
    path = cache.directory() / "things" / "download"

    def cut_short(partial: Path) -> None:
        write(partial)
        (path.parent / "download.work-1").mkdir()
        write(path.parent / "download.work-1" / "file")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        user.entry(path, CancelToken(), cut_short, name="https://example.org/disk")
    (entry,) = eviction.entries()
    assert not entry.whole
    assert entry.size >= 2 * MIB
    assert prune(0) == [], "somebody may be writing it"
    user.close()
    assert prune(0) == ["download"]
    assert list(path.parent.iterdir()) == []


def test_what_failed_to_be_made_needs_nothing() -> None:
    def fail(partial: Path) -> None:
        raise RuntimeError

    base = use("base")
    user = Pins()
    path = cache.directory() / "things" / "state"
    with pytest.raises(RuntimeError):
        user.entry(path, CancelToken(), fail, name="state", needs=[base])
    user.close()
    assert left() == ["base"]
    assert prune(0) == ["base"]


def test_what_was_cut_short_does_not_keep_a_folder_from_being_made(user: Pins) -> None:
    partial = cache.directory() / "things" / "a.partial"
    partial.mkdir(parents=True)
    write(partial / "half")
    assert [file.name for file in pin(user, "a").iterdir()] == ["disk"]


def test_names_may_have_any_form() -> None:
    for at, name in enumerate(["a[1]", "a1", "a", "a.b"], start=1):
        use(name, at=at)
    assert prune(1) == ["a[1]", "a1", "a"]
    assert left() == ["a.b"]


def test_a_pin_may_be_released(user: Pins) -> None:
    path = pin(user, "a")
    assert not pins.discard(path)
    user.release(path)
    assert pins.discard(path)
    assert not path.exists()


PROCESS = """
import sys
from harness import cache
from harness.cancel import CancelToken
from harness.pins import Pins
def make(partial):
    print("made", flush=True)
    partial.write_bytes(b"x" * 4096)
user = Pins()
user.entry(cache.directory() / "things" / "a", CancelToken(), make, name="a")
if sys.argv[1:]:
    import subprocess
    subprocess.Popen(["sleep", "60"], pass_fds=user.descriptors, stdout=subprocess.DEVNULL)
print("pinned", flush=True)
sys.stdin.read()
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_two_processes_that_want_an_entry_at_once_make_it_once() -> None:
    both = [start() for _ in range(2)]
    said = "".join(process.communicate("")[0] for process in both)
    assert sorted(said.split()) == ["made", "pinned", "pinned"]


def test_another_process_may_use_it_and_be_killed() -> None:
    with start() as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["made\n", "pinned\n"]
        assert prune(-1) == []
        assert [entry.in_use for entry in eviction.entries()] == [True]
        process.kill()
    assert prune(-1) == ["a"]


def test_what_a_process_has_started_uses_it_on() -> None:
    with start("and go on") as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["made\n", "pinned\n"]
        process.kill()
        process.wait()
        assert prune(-1) == [], "it outlives its parent, as QEMU does"
        os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10  # the kernel takes a moment to close what it had open
    while pins.in_use(cache.directory() / "things" / "a"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert prune(-1) == ["a"]
