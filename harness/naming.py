"""Names of images: templates whose fields are frozen when the run starts."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from harness.sources.base import Context


def render(option: str, template: str, context: Context) -> str:
    """Fill in a template such as ``web-{timestamp}``.

    Fields: ``{timestamp}`` (seconds since 1970, when the run started), ``{build}`` and
    ``{source}`` (both halves of the build's name).

    Raises:
        ConfigurationError: another field, or braces that do not match.
    """
    build, _, source = context.build.partition(".")
    fields = {"timestamp": str(context.started), "build": build, "source": source}
    try:
        used = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        unknown = [name for name in used if name not in fields]
    except ValueError as error:
        raise ConfigurationError(f"{option}={template!r} is no template: {error}") from error
    if unknown:
        raise ConfigurationError(
            f"{option}={template!r} has the field {{{unknown[0]}}}; "
            f"there are {', '.join(f'{{{name}}}' for name in fields)}"
        )
    return template.format(**fields)
