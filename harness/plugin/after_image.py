"""The items of what follows an image.

As tests they run in pytest's own thread: output, warnings, debugger and Ctrl-C are as in any test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import CommandError, CommandTimeoutError, HarnessError
from harness.events import ImageRemoved
from harness.plugin.items import (
    RUN,
    ImageItem,
    NoImage,
    Position,
    StageItem,
    skip_if_up_to_date,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from harness.follower import Follower
    from harness.lifecycle import BuildRun
    from harness.model import Image

    Resolve = Callable[[pytest.Function, tuple[str, ...]], dict[str, Any]]


class AfterImageItem(StageItem):
    """One function for one image."""

    position = Position.AFTER_IMAGE
    follower: Follower
    function_item: Callable[[], pytest.Function]
    """Makes the hidden item through which pytest resolves what the function takes."""
    values: Callable[[], dict[str, Any]]
    """The build's variables, if the function takes them."""
    files: tuple[str, ...] = ()
    """What a post-processor made."""
    keeps_image: bool | None = None
    """Whether a post-processor wants the image to stay; None: nothing was said."""

    def prepare(
        self, resolve: Callable[[pytest.Function, tuple[str, ...]], dict[str, Any]]
    ) -> None:
        """Have what it takes beside the image, if it is going to run; an error is kept for then."""
        self._arguments: dict[str, Any] = {}
        self._error: BaseException | None = None
        if self.follower.arguments and self.stash[RUN].image is not None and not _is_left_out(self):
            try:
                self._arguments = resolve(self.function_item(), self.follower.arguments)
            except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - told where it belongs
                self._error = error

    def setup(self) -> None:
        if RUN in self.stash and self._error is not None:
            raise self._error

    def runtest(self) -> None:
        from harness.post_processors import Chain, PostProcessor, Run  # most sessions have none

        image, function = self._image(), self.follower.function
        if not isinstance(function, PostProcessor | Chain):
            function(image, **self._arguments, **self.values())
            return
        chain = function if isinstance(function, Chain) else Chain(function)
        run = Run.of(self.stash[RUN].context)
        artifact, self.keeps_image = chain.process(image, run)
        self.files = tuple(run.shown(path) for path in artifact.files if path not in image.files)

    def _image(self) -> Image:
        """The image of this run; otherwise nobody asks for it twice.

        An image that was wanted and did not come about has failed the run by itself.
        """
        run = self.stash[RUN]
        skip_if_up_to_date(run)
        if run.image is not None:
            return run.image
        text = f"{run.name} has no image for {self.follower.name}: {run.reason}"
        if any(isinstance(i, ImageItem) and i.build == self.build for i in self.session.items):
            pytest.skip(text)
        way_out = run.gate.way_out
        raise NoImage(text if text.endswith(way_out) else f"{text}{way_out}")

    def reportinfo(self) -> tuple[Path, int, str]:
        place = self.follower.place
        return (*place, self.name) if place else super().reportinfo()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        place, error = self.follower.place, excinfo.value
        if isinstance(error, NoImage):
            return str(error)
        if place is None and isinstance(error, HarnessError):
            command = isinstance(error, CommandError | CommandTimeoutError)
            return f"{self.build}: {self.follower.name} failed\n{'$ ' if command else ''}{error}"
        if place is not None:
            excinfo.traceback = excinfo.traceback.cut(path=place[0])
        return pytest.Item.repr_failure(self, excinfo, style)


def conclude(run: BuildRun, items: Iterable[AfterImageItem]) -> None:
    """All that follows a build's image has been run.

    If all went well, a later run may find the build up to date. As in Packer the image goes only
    now, when nothing needs it any more, and only if no post-processor keeps it.
    """
    if run.image is None or not run.all_followed:
        return
    wishes = {item.keeps_image for item in items}
    if False in wishes and True not in wishes:
        from harness.post_processors.chain import remove_image

        remove_image(run.image)
        run.context.events.emit(ImageRemoved(run.name))
    else:
        run.note_image()


def _is_left_out(item: pytest.Item) -> bool:
    """Whether a mark will skip it, so that nothing need be set up for it."""
    from _pytest.skipping import evaluate_skip_marks  # pytest asks itself the same too late for us

    return evaluate_skip_marks(item) is not None
