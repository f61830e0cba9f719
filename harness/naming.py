"""Names of images: templates whose fields are frozen when the run starts."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.sources.base import Context


def render(option: str, template: str, context: Context, params: Mapping[str, Any]) -> str:
    """Fill in a template such as ``web-{timestamp}``.

    Fields: ``{timestamp}`` (seconds since 1970, when the run started), ``{build}`` and
    ``{source}`` (both halves of the build's name), and the source's ``params``.

    Raises:
        ConfigurationError: another field, braces that do not match, or a param with the name of
            one of the other fields.
    """
    build, _, source = context.build.partition(".")
    fields = {"timestamp": str(context.started), "build": build, "source": source}
    for name in fields.keys() & params.keys():
        raise ConfigurationError(
            f"params={dict(params)!r}: {name!r} already stands for something in names "
            f"({option}={template!r}); give it another name"
        )
    fields |= {name: str(value) for name, value in params.items()}
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
