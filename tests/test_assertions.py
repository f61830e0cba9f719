"""testinfra over our connection answers as it does over its own, on a real OpenSSH server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import parity, sshd

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sshd


def test_modules_and_commands_answer_as_over_testinfras_own_paramiko(tmp_path: Path) -> None:
    (tmp_path / "sshd").mkdir()
    with (
        sshd.running(tmp_path / "sshd") as server,
        parity.ours(server.endpoint) as ours,
        parity.stock(server.endpoint, tmp_path) as stock,
    ):
        asked = [parity.answers(h, str(tmp_path / "files"), server.port) for h in (ours, stock)]
        killed = [host.run("kill -KILL $$").rc for host in (ours, stock)]
    assert asked[0] == asked[1]
    assert asked[0]["file ['/etc/passwd'] is_file"] is True
    assert len([a for a in asked[0].values() if not isinstance(a, type)]) > 200
    assert killed == [128 + 9, -1], "theirs does not tell a signal from a lost connection"
