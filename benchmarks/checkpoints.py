"""The second run: only a test has changed, or nothing has; beside Packer, which has but one way.

The builds are those of `benchmarks.boot_to_image`: Packer boots, provisions and captures once more;
ours goes on from the checkpoint behind the last step, or leaves the build out altogether.

    python -m benchmarks.checkpoints [--rounds 5]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import boot_to_image, commands, table
from harness.sources.qemu import recipe_bases, recipes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.table import Row

LIMITS = {
    "only a test changed, to its verdict": 0.12,
    "only a test changed, to the image": 0.25,
    "nothing changed, --skip-unchanged": 0.05,
}


def rows(rounds: int) -> Iterator[Row]:
    table.say("the second run")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        base = recipe_bases.directory(recipes.RECIPES["debian-12"]) / "disk.qcow2"
        run(work, "", "--no-fresh")  # makes the base and what is saved, if need be
        figures = []
        for number in range(1, rounds + 1):
            theirs = boot_to_image.packer(work, base)
            ours = changed(work, f"{number}")
            figures.append((theirs, *ours))
            table.say(f"  round {number}: peer {theirs:.1f}, ours {ours}")
    for place, (what, limit) in enumerate(LIMITS.items(), 1):
        yield table.compared(what, [(each[0], each[place]) for each in figures], limit)


def changed(work: Path, number: str) -> tuple[float, float, float]:
    """Seconds of three commands: to a new test's verdict, to the image, and of one more run."""
    test = f"\ndef test_new(web): assert web.file('/srv/app').exists, {number}\n"
    return (
        run(work, test, "--no-fresh", "-k", "test_new"),
        run(work, test, "--no-fresh"),
        run(work, test, "--no-fresh", "--skip-unchanged"),
    )


def run(work: Path, test: str, *options: str) -> float:
    return commands.timed(commands.pytest(work, boot_to_image.BUILD + test, *options), work)


if __name__ == "__main__":
    table.main(rows)
