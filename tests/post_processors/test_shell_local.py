"""Commands on this computer, for an image."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import CommandError, CommandTimeoutError
from harness.post_processors import ShellLocal
from harness.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import Image


def out(*options: str) -> dict[str, Any]:
    return {"inline": [f'echo "{option}" >>out' for option in options]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (out("$HARNESS_ARTIFACT"), "{tmp}/images/web.img\n"),
        (out("$PACKER_BUILD_NAME", "$PACKER_BUILDER_TYPE"), "fake\nfake\n"),
        ({"command": "echo one >out"}, "one\n"),
        ({**out("$A"), "environment_vars": ["A=it's b=c"]}, "it's b=c\n"),
        ({**out("$A"), "environment_vars": {"A": Secret("hush-hush")}}, "hush-hush\n"),
        ({"script": "a.py", "environment_vars": ["A=a b"]}, "a.py a b\n"),
        ({"scripts": ["a.py", "a.py"], "environment_vars": ["A=1"]}, "a.py 1\na.py 1\n"),
        ({**out("$0 ${{BASH:+bash}}"), "inline_shebang": "/bin/bash -e"}, "*/script bash\n"),
        (
            {
                **out("$A"),
                "environment_vars": ["A=x y"],
                "execute_command": ["/bin/sh", "-c", "{{.Vars}} B=1 sh {{.Script}}"],
            },
            "x y\n",
        ),
        ({**out("never"), "only_on": ["plan9"]}, ""),
        ({**out("here"), "only_on": [platform.system().lower()]}, "here\n"),
        ({"inline": ["echo x >out; exit 3"], "valid_exit_codes": [3]}, "x\n"),
    ],
)
def test_shell_local(image: Image, tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    (tmp_path / "a.py").write_text(
        "#!/usr/bin/env python3\nimport os\nprint('a.py', os.environ['A'], file=open('out', 'a'))\n"
    )
    if "inline" in options:
        options["inline"] = [
            line.replace("{{", "{").replace("}}", "}") for line in options["inline"]
        ]
    made = ShellLocal(**options)(image)
    assert made.files == image.files
    text = (tmp_path / "out").read_text() if (tmp_path / "out").exists() else ""
    pattern = re.escape(expected.replace("{tmp}", str(tmp_path))).replace(r"\*", ".*")
    assert re.fullmatch(pattern, text)


@pytest.mark.parametrize("more", [{}, {"inline_shebang": "/bin/sh -e"}])
def test_a_failing_command_says_what_it_printed(
    image: Image, capfd: pytest.CaptureFixture[str], more: dict[str, Any]
) -> None:
    with pytest.raises(CommandError, match=r"(?s)exit status 4.*stdout:\n  out\nstderr:\n  err"):
        ShellLocal(inline=["echo out", "echo err >&2", "exit 4"], **more)(image)
    assert capfd.readouterr() == ("out\n", "err\n")
    with pytest.raises(CommandTimeoutError):
        ShellLocal(inline=["sleep 60"], timeout="200ms", **more)(image)
