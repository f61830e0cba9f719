"""What a post-processor is: a frozen dataclass of options, and what it makes of an artifact."""

from __future__ import annotations

import abc
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.errors import ConfigurationError
from harness.options import Options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from harness.model import Image
    from harness.post_processors.artifact import Artifact, Run


@dataclass(frozen=True, kw_only=True)
class PostProcessor(Options, abc.ABC):
    """A step behind an image. The options are those that every post-processor of Packer's has.

    Args:
        name: what it is called; default: its type.
        only: the sources whose images it is for; default: all.
        except_: the sources that it is not for; Packer's ``except``, which Python keeps for itself.
        keep_input_artifact: whether the files that it was given stay. Default: an image stays,
            and in a chain what another post-processor has made goes once it is compressed. Some
            keep it whatever is said here, as they would hand on what is gone.
    """

    type: ClassVar[str]
    keeps_input: ClassVar[bool] = True
    """Packer's default of ``keep_input_artifact``."""
    insists: ClassVar[bool] = False
    """Whether that holds whatever ``keep_input_artifact`` says."""
    packer_defaults: ClassVar[Mapping[str, Any]] = {}
    """Packer's defaults where ours are others: a template that does not say means these."""

    name: str = ""
    only: Collection[str] = ()
    except_: Collection[str] = ()
    keep_input_artifact: bool | None = None

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ConfigurationError as error:
            raise self.error(str(error)) from None
        for problem in self.problems():
            raise self.error(problem)

    def problems(self) -> Iterator[str]:
        """What is wrong with the options, a sentence each."""
        if self.only and self.except_:
            yield "only and except_ exclude each other: give one of them"

    def __call__(self, image: Image, run: Run | None = None) -> Artifact:
        """Do it with an image.

        Args:
            image: the image.
            run: what it is part of; default: nothing, and relative paths start here.

        Returns:
            What it made, or what it was given.

        Raises:
            HarnessError: it cannot be done, or went wrong.
        """
        from harness.post_processors.chain import Chain

        return Chain(self)(image, run)

    def is_for(self, artifact: Artifact) -> bool:
        names = {artifact.build, artifact.source}
        return (not self.only or bool(names & set(self.only))) and not names & set(self.except_)

    def keeps(self, default: bool | None = None) -> bool:
        """Whether what it is given stays; ``default``: where nothing is said, else Packer's."""
        if self.insists or (self.keep_input_artifact is None and default is None):
            return self.keeps_input
        return bool(default if self.keep_input_artifact is None else self.keep_input_artifact)

    @abc.abstractmethod
    def apply(self, artifact: Artifact, run: Run) -> Artifact:
        """Make of an artifact what comes next."""

    def error(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"post-processor {self.name or self.type}: {problem}")

    def render(self, option: str, template: str, artifact: Artifact, **more: str) -> str:
        """Fill in Packer's fields: ``{{.BuildName}}`` (the source's), ``{{.BuilderType}}``."""
        known = {"BuildName": artifact.source, "BuilderType": artifact.source_type, **more}
        return self.filled_in(option, template, known)

    def filled_in(self, option: str, template: str, known: Mapping[str, str]) -> str:
        """A template with its fields replaced.

        Raises:
            ConfigurationError: it has another field.
        """

        def field(match: re.Match[str]) -> str:
            if match[1] not in known:
                raise self.error(
                    f"{option}={template!r}: there is no {match[0]}; "
                    f"fields are {', '.join(f'{{{{.{name}}}}}' for name in known)}"
                )
            return known[match[1]]

        return re.sub(r"\{\{\s*\.(\w+)\s*\}\}", field, template)

    def target(self, template: str, artifact: Artifact, run: Run, **more: str) -> Path:
        """The path that ``output`` means; its folder is there."""
        path = run.directory / self.render("output", template, artifact, **more)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
