"""What tells a run from all others."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from harness import run_identity

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_is_no_other_runs_and_knows_the_commit(tmp_path: Path) -> None:
    bare = run_identity.new(tmp_path)
    assert bare.git_sha == ""
    assert bare.uuid != run_identity.new(tmp_path).uuid
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert run_identity.new(tmp_path).git_sha == ""
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    assert re.fullmatch("[0-9a-f]{40}", run_identity.new(tmp_path).git_sha)


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_identity.new(tmp_path).git_sha == ""
