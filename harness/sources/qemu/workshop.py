"""A folder for what is made for the cache, and what the making needs."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from harness.model import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.sources.base import Context

SOURCE_TYPE = "qemu"


@contextlib.contextmanager
def beside(entry: Path, context: Context) -> Iterator[Path]:
    """A temporary folder beside a cache entry, in the journal with the processes that use it."""
    work = entry.with_name(f"{entry.name}.work-{context.run_id}")
    resources = [
        Resource(kind, str(work), SOURCE_TYPE, context.build) for kind in ("directory", "process")
    ]
    for resource in resources:
        context.journal.intend(resource)
    work.mkdir(parents=True, mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        for resource in resources:
            context.journal.gone(resource)
