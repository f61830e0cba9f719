"""What testinfra answers through a backend: two that are asked alike must answer alike.

Nothing is asked whose answer changes by itself, nothing that hangs testinfra's own backends, and
nothing that depends on the login shell: theirs runs commands in it, ours always in /bin/sh.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import socket
from typing import TYPE_CHECKING, Any

import testinfra  # type: ignore[import-untyped]  # it has no py.typed

from harness import assertions, ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.assertions import Host
    from harness.model import Endpoint

NASTY = "-a b'c\"d$(e)\\f\n*ž"
"""A file's name."""

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("true",),
    ("exit 3",),
    ("printf out; printf err >&2; exit 255",),
    ("echo text; echo more >&2",),
    (r"printf 'a\000b\377\r\n\n'",),
    (r"printf '\305\276' >&2; printf '\305\276'",),
    ("printf %s ''",),
    ("printf '<%%s>' %s %s", 'it\'s "it"', "$HOME `id`\\\n*;|&"),
    ("printf %s žluťoučký | wc -c",),
    ("printf %s %s", "žluťoučký 🐎"),
    ("seq 150000",),
    ("seq 100000 >&2; echo done",),
    ("seq 3 | while read n; do echo $n; echo $n >&2; done",),
    ("cd /tmp; pwd; x=1; echo $x",),
    ("pwd; echo ${x-unset}; umask; id; ulimit -n; echo $#",),
    ("echo a # not b",),
    ("cat <<END\n$((6 * 7))\nEND\n",),
    ("echo a\n\necho b\n",),
    ("(exit 7)",),
    ("no-such-command 2>/dev/null",),
    ("sh -c 'kill -TERM $$'; echo $?",),
    ("ls -l /proc/self/fd | grep -c ' -> '",),
    ("grep -E 'Sig(Blk|Ign)' /proc/self/status",),
    ("env | cut -d= -f1 | grep -v -x -E '_|SHLVL|OLDPWD' | sort",),
)

OBJECTS: tuple[tuple[str, ...], ...] = (
    *[("file", path) for path in ("/", "/etc/passwd", "/bin/sh", "/dev/null", "/no/such")],
    *[("file", f"@directory/{name}") for name in (NASTY, "binary", "link", "empty")],
    *[("package", name) for name in ("openssh-server", "no-such")],
    *[("service", name) for name in ("ssh", "no-such")],
    *[("user", *name) for name in ((), ("nobody",), ("no-such",))],
    *[("group", name) for name in ("root", "no-such")],
    *[("mount_point", path) for path in ("/", "/proc", "/no/such")],
    *[("interface", name) for name in ("lo", "no-such")],
    *[("addr", name) for name in ("localhost", "127.0.0.1", "no-such.invalid")],
    *[("socket", spec) for spec in ("tcp://127.0.0.1:@port", "tcp://0.0.0.0:1", "unix:///no")],
    ("system_info",),
)
"""A module and its arguments: all of its properties are asked."""

VOLATILE = {"clients", "systemd_properties"}

CALLS: Mapping[str, Callable[[Host], Any]] = {
    "exists": lambda host: (host.exists("sh"), host.exists("no-such-command")),
    "find_command": lambda host: (host.find_command("sh"), host.find_command("sysctl")),
    "check_output": lambda host: host.check_output("echo %s", "a  b\n"),
    "check_output of a failure": lambda host: host.check_output("exit 1"),
    "run_expect": lambda host: _result(host.run_expect([3], "exit 3")),
    "run_test": lambda host: _result(host.run_test("exit 1")),
    "contains": lambda host: (
        host.file("/etc/passwd").contains("^root:"),
        host.file("/etc/passwd").contains("no such line"),
    ),
    "listdir": lambda host: sorted(host.file("/etc").listdir()),
    "environment": lambda host: {k: host.environment()[k] for k in ("HOME", "PATH", "USER")},
    "sysctl": lambda host: (host.sysctl("kernel.ostype"), host.sysctl("net.ipv4.ip_forward")),
    "interfaces": lambda host: (host.interface.names(), str(host.interface.default())),
    "process": lambda host: [(p.pid, p.ppid, p.user, p.args) for p in host.process.filter(pid=1)],
    "port": lambda host: host.addr("127.0.0.1").port(1).is_reachable,
    "sudo": lambda host: _as(host, None),
    "sudo as another user": lambda host: _as(host, "nobody"),
}

SYSTEM_OBJECTS: tuple[tuple[str, ...], ...] = (
    *[("service", name) for name in ("ssh", "getty@tty1", "e2scrub_all.timer", "no-such")],
    ("package", "systemd"),
    ("user", "root"),
    ("mount_point", "/"),
    ("interface", "lo"),
    ("block_device", "/dev/vda1"),
    ("socket", "tcp://22"),
    ("system_info",),
)
"""What needs a machine of its own: systemd, a disk, no neighbours."""

SYSTEM_CALLS: Mapping[str, Callable[[Host], Any]] = {
    "service properties": lambda host: sorted(host.service("ssh").systemd_properties),
    "interfaces": CALLS["interfaces"],
    "mount points": lambda host: [
        (m.path, m.device, m.filesystem, m.options) for m in host.mount_point.get_mountpoints()
    ],
    "process": CALLS["process"],
    "sockets": lambda host: sorted(host.socket.get_listening_sockets()),
    "sysctl": CALLS["sysctl"],
}

SETUP = r"""
mkdir -p %s && cd %s
printf 'it\047s \305\276\n' >./%s
printf '\000\377' >binary && chmod 4751 binary
ln -sf binary link && : >empty && touch -h -d @1000000000 -- *
"""


@contextlib.contextmanager
def ours(endpoint: Endpoint) -> Iterator[Host]:
    """The machine as tests of a build see it."""
    connection = ssh.connect(endpoint, timeout=60)
    try:
        yield assertions.host(connection, "web.fake")
    finally:
        connection.close()


@contextlib.contextmanager
def stock(endpoint: Endpoint, work: Path) -> Iterator[Host]:
    """The machine as testinfra's own paramiko backend shows it; ``work`` is for its key."""
    key, config = work / "stock-key", work / "stock-config"
    key.touch(mode=0o600)
    key.write_text(endpoint.private_key)
    config.write_text(f"Host {endpoint.host}\n StrictHostKeyChecking no\n IdentityFile {key}\n")
    spec = f"paramiko://{endpoint.username}@{endpoint.host}:{endpoint.port}"
    host = testinfra.get_host(spec, ssh_config=str(config))
    client = host.backend.client
    # 40 ms for each command otherwise.
    client.get_transport().sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        yield host
    finally:
        client.close()


def answers(host: Host, directory: str, port: int) -> dict[str, object]:
    """Every question's answer.

    Args:
        host: whom to ask.
        directory: on that machine, for files of ours.
        port: on which something listens at that machine's 127.0.0.1.
    """
    host.check_output(SETUP, directory, directory, NASTY)
    objects = [
        tuple(w.replace("@directory", directory).replace("@port", str(port)) for w in words)
        for words in OBJECTS
    ]
    commands = {str(command): _answer(_run, host, command) for command in COMMANDS}
    return {**commands, **_answers(host, objects, CALLS)}


def system_answers(host: Host) -> dict[str, object]:
    """What only a machine of its own can answer."""
    return _answers(host, SYSTEM_OBJECTS, SYSTEM_CALLS)


def _answers(
    host: Host,
    objects: Iterable[tuple[str, ...]],
    calls: Mapping[str, Callable[[Host], Any]],
) -> dict[str, object]:
    found = {}
    for module, *args in objects:
        kind = getattr(host, module)
        thing = kind(*args) if callable(kind) else kind
        for name in _properties(thing):
            found[f"{module} {args} {name}"] = _answer(getattr, thing, name)
    return found | {name: _answer(call, host) for name, call in calls.items()}


def _as(host: Host, user: str | None) -> tuple[object, ...]:
    with host.sudo(user):
        return host.user().name, host.file("/etc/shadow").size, _result(host.run("id -u; exit 4"))


def _run(host: Host, command: tuple[str, ...]) -> object:
    return _result(host.run(*command))


def _answer(question: Callable[..., object], *args: object) -> object:
    """Without an error's text, which names the backend."""
    try:
        return question(*args)
    except Exception as error:  # noqa: BLE001 - to be told apart by its type
        return type(error)


def _properties(thing: object) -> list[str]:
    kind = type(thing)
    kinds = (property, functools.cached_property)
    names = [n for n in dir(kind) if isinstance(inspect.getattr_static(kind, n), kinds)]
    return [n for n in names if not n.startswith("_") and n not in VOLATILE]


def _result(result: Any) -> tuple[object, ...]:
    texts = [_answer(getattr, result, name) for name in ("stdout", "stderr")]
    return (result.rc, result.command, result.stdout_bytes, result.stderr_bytes, *texts)
