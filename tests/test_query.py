from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import query

WAYS = {
    "exec": [
        "stat -Lc %a /etc/passwd",
        "dpkg-query -f '${Status}' -W nginx",
        "/usr/bin/ss --numeric --listening --tcp",
        'rpm -q --queryformat="%{VERSION}" nginx',
        "grep -qs -- '^root:' /etc/passwd",
        "cat -- 'it'\"'\"'s; $(here)'",
        "systemctl is-active ssh",
        "id",
    ],
    "command": [
        "test -e /etc/passwd",
        "command -v sh",
        "exit 3",
        "rpm -q --quiet nginx 2>&1",
        "getent group root | cut -d':' -f3",
        "md5sum /etc/passwd | cut -d' ' -f1",
    ],
    query.NONE: [
        "",
        "nginx -t",
        "/opt/cat /etc/passwd",
        "catalog",
        "rpm -e nginx",
        "rpm -q --quiet nginx 2>&1 >x",
        "systemctl start nginx",
        "sysctl net.ipv4.ip_forward=1",
        "command ls",
        "test -e / && reboot",
        "cat /etc/passwd | sh",
        "cat /etc/passwd | tee /etc/shadow",
        "cat $HOME",
        'cat "$HOME"',
        "cat `id`",
        "cat /etc/*",
        "cat ~/x",
        "cat <x",
        "cat x>y",
        "cat x&",
        "cat x # y",
        "cat x\\ y",
        "cat 'x",
        "cat x\nid",
        "X=1 cat x",
        "cat žluť",
        " cat x",
        "kill -9 0",
        "if test -e /; then id; fi",
    ],
}


@pytest.mark.parametrize(
    ("command", "way"), [(command, way) for way, commands in WAYS.items() for command in commands]
)
def test_only_what_is_known_to_only_ask_is_a_query(command: str, way: str) -> None:
    assert query.way(command) == way


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126))))
def test_quoted_arguments_change_nothing(arguments: list[str]) -> None:
    assert query.way(shlex.join(["stat", *arguments])) == "exec"


@given(st.text())
def test_a_query_reads_as_it_is_split(text: str) -> None:
    """No shell would see anything in it but words."""
    if query.way(f"stat {text}") == "exec":
        assert not set(text) & set("\n`\\") or "'" in text
        assert shlex.split(f"stat {text}")[0] == "stat"
