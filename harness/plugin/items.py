"""The items of a build's stages."""

from __future__ import annotations

import os
from bdb import BdbQuit
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from harness.errors import CommandError, CommandTimeoutError, HarnessError
from harness.reports import log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lifecycle import BuildRun

BUILD = pytest.StashKey[str]()
"""The name of the build that an item belongs to."""
RUN = pytest.StashKey["BuildRun"]()
"""Its run, once the session has one."""


class Position(IntEnum):
    """Where an item stands in its build."""

    PROVISION = 0
    TEST = 1
    SEALED_TEST = 2
    IMAGE = 3
    AFTER_IMAGE = 4


class NoImage(BdbQuit):
    """Why an image item fails: shown as this sentence alone, and nothing for --pdb to look at."""


# pytest offers the class as an attribute of a function, where no type checker finds it.
class NoMachine(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """Why a test of a build without a machine was not run."""

    def __init__(self, reason: str) -> None:
        pytest.fail.Exception.__init__(self, reason, pytrace=False)


class StageItem(pytest.Item):
    """A stage of a build, as pytest sees it. The work is done in the build's thread."""

    stage: ClassVar[str]
    position: ClassVar[Position]
    line: int
    """Of the build function, from 0."""

    @property
    def build(self) -> str:
        return self.stash[BUILD]

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line, self.name

    def seconds(self) -> float | None:
        """How long the stage really took; None: as long as it took pytest to run the item."""
        return None

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, NoImage):
            return str(excinfo.value)
        run = self.stash.get(RUN, None)
        if run is not None and isinstance(excinfo.value, HarnessError):
            return failure_text(run, excinfo.value)
        if run is not None:
            excinfo.traceback = excinfo.traceback.cut(path=run.definition.file)
        return super().repr_failure(excinfo, style)


class ProvisionItem(StageItem):
    """Boot, connect and provision."""

    stage = "provision"
    position = Position.PROVISION

    def runtest(self) -> None:
        run = self.stash[RUN]
        skip_if_up_to_date(run)
        if run.error is not None:
            run.error_shown = True
            raise run.error.with_traceback(_up_to_their_code(run, run.error))

    def seconds(self) -> float:
        from harness.lifecycle import PROVISION_STAGES

        taken = self.stash[RUN].seconds
        return sum(taken.get(stage, 0.0) for stage in PROVISION_STAGES)


class ImageItem(StageItem):
    """The gate's verdict, and what was taken behind it."""

    stage = "image"
    position = Position.IMAGE

    def runtest(self) -> None:
        run = self.stash[RUN]
        skip_if_up_to_date(run)
        if run.image is None:
            skipped = isinstance(run.error, pytest.skip.Exception)
            if run.error is not None and not run.error_shown and not skipped:
                run.error_shown = True
                raise run.error
            raise NoImage(f"{run.name}: {run.reason}")
        self.user_properties += image_properties(run)

    def seconds(self) -> float:
        from harness.lifecycle import IMAGE_STAGES

        taken = self.stash[RUN].seconds
        return sum(taken.get(stage, 0.0) for stage in IMAGE_STAGES)


def may_ask_for_a_build(item: pytest.Item) -> bool:
    """Whether a test of no build could get at one all the same: ``request.getfixturevalue``."""
    return "request" in getattr(item, "fixturenames", ())


def skip_if_up_to_date(run: BuildRun) -> None:
    if run.up_to_date is not None:
        pytest.skip(f"{run.name} is up to date: {run.up_to_date.id}")


def position(item: pytest.Item) -> Position:
    if isinstance(item, StageItem):
        return item.position
    return Position.SEALED_TEST if item.get_closest_marker("sealed") else Position.TEST


def image_properties(run: BuildRun) -> list[tuple[str, object]]:
    """What JUnit says of an image; strings and numbers only, since xdist carries no others."""
    assert run.image is not None
    image = run.image
    facts = {
        "build": run.name,
        "source_type": image.source_type,
        "image_id": image.id,
        "image_checksum": image.checksum,
        "image_size": image.size,
        "image_format": image.format,
        **{k: str(v) for k, v in image.properties.items()},
        **{f"seconds_{stage}": round(taken, 3) for stage, taken in run.seconds.items()},
    }
    return list(facts.items())


def failure_text(run: BuildRun, error: BaseException) -> str:
    """A failure of ours as a person wants to read it: where in the build's file, and what."""
    lines = [f"{run.name}: {run.failed_stage} failed{_where(run, error)}"]
    command = isinstance(error, (CommandError, CommandTimeoutError))
    lines += [f"{'$ ' if command else ''}{error}", *getattr(error, "__notes__", [])]
    lines.append(f"log: {os.path.relpath(run.context.root / log.relative_path(run.name))}")
    return "\n".join(lines)


def _where(run: BuildRun, error: BaseException) -> str:
    """The last line of the user's own file on the way to the error."""
    lines = [link.tb_lineno for link in _links(error) if _is_theirs(run, link)]
    return f" at {os.path.relpath(run.definition.file)}:{lines[-1]}" if lines else ""


def _up_to_their_code(run: BuildRun, error: BaseException) -> TracebackType | None:
    """The way to an error of ours, as far as the user's own file: --pdb stops there."""
    links = list(_links(error))
    while isinstance(error, HarnessError) and links and not _is_theirs(run, links[-1]):
        links.pop()
    if not links:
        return error.__traceback__
    short: TracebackType | None = None
    for link in reversed(links):
        short = TracebackType(short, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return short


def _links(error: BaseException) -> Iterator[TracebackType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_theirs(run: BuildRun, link: TracebackType) -> bool:
    return Path(link.tb_frame.f_code.co_filename).resolve() == run.definition.file
