"""Names of images: templates whose fields are frozen when the run starts."""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigurationError
from harness.given import suggestion
from harness.secret import Secret

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from harness.sources.base import Context

ISO = "%Y%m%dT%H%M%SZ"
"""What ``{isotime}`` is by itself: no platform refuses one of its characters."""


@dataclass(frozen=True)
class NameRule:
    r"""Which names a platform takes.

    Args:
        refused: fits each piece of a name that may not be there.
        takes: what there may be, for messages.
        longest: how many characters a name may have.
        shortest: how many it must have; default 1.
        in_bytes: count the bytes of UTF-8, not characters. Default False.

    Example:
        ```python
        AMI = NameRule(re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]"), "letters, digits, ...", 128, 3)
        ```
    """

    refused: re.Pattern[str]
    takes: str
    longest: int
    shortest: int = 1
    in_bytes: bool = False

    def problem(self, name: str) -> str:
        """What is wrong with a name; empty: nothing."""
        if found := self.refused.search(name):
            return f"{found[0]!r} may not be in it; a name may have {self.takes}"
        length = len(name.encode(errors="surrogateescape")) if self.in_bytes else len(name)
        unit = "bytes" if self.in_bytes else "characters"
        if not self.shortest <= length <= self.longest:
            return f"it has {length} {unit}, and a name has {self.shortest} to {self.longest}"
        return ""


def check(
    option: str, template: str, context: Context, params: Mapping[str, Any], rule: NameRule
) -> None:
    """Refuse, before anything is created, what `render` would, and a secret in the name.

    Raises:
        ConfigurationError: as it says.
    """
    name = render(option, template, context, params, rule)
    if context.events.masker.text(name) != name:
        raise ConfigurationError(
            f"{option}={template!r} would show a secret to whoever sees the image's name"
        )


def render(
    option: str, template: str, context: Context, params: Mapping[str, Any], rule: NameRule
) -> str:
    """Fill in a template such as ``web-{isotime:%Y-%m-%d}``.

    Fields, the same for all builds of a run: ``{timestamp}`` (seconds since 1970, when the run
    started), ``{isotime}`` (the same in UTC; behind a colon a format of strftime, by default
    `ISO`), ``{uuid}`` and ``{git_sha}`` (of the last commit; ``{git_sha:.8}`` is its beginning).
    And ``{build}`` and ``{source}``, both halves of the build's name, and the source's ``params``.

    Args:
        option: what messages call it.
        template: its value.
        context: the build's.
        params: the source's.
        rule: what the platform takes.

    Raises:
        ConfigurationError: another field, one that has no value, braces that do not match, a
            param with the name of one of the other fields, or that is secret, or a name that the
            platform would refuse.
    """
    fields = _fields(context)
    for name in fields.keys() & params.keys():
        raise ConfigurationError(
            f"params={dict(params)!r}: {name!r} already stands for something in names "
            f"({option}={template!r}); give it another name"
        )
    fields |= params
    where = f"{option}={template!r}"
    try:
        for name in _used(template):
            if problem := _unusable(name, fields, context):
                raise ConfigurationError(f"{where} {problem}")
        name = _Formatter().vformat(template, (), fields)
    except (ValueError, LookupError, AttributeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{where} is no template: {error}") from error
    if problem := rule.problem(name):
        raise ConfigurationError(f"{where} makes the name {name!r}: {problem}")
    return name


def _fields(context: Context) -> dict[str, Any]:
    build, _, source = context.build.partition(".")
    return {
        "timestamp": str(context.started),
        "isotime": datetime.fromtimestamp(context.started, UTC),
        "uuid": context.uuid,
        "build": build,
        "source": source,
        "git_sha": context.git_sha,
    }


def _used(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def _unusable(name: str, fields: Mapping[str, Any], context: Context) -> str:
    """Why a field can be none of this name."""
    if name not in fields:
        near = suggestion(name, fields)
        there_are = f"there are {', '.join(f'{{{each}}}' for each in fields)}"
        return f"has the field {{{name}}}; {f'{near} ' if near else ''}{there_are}"
    if isinstance(fields[name], Secret):
        return f"has the field {{{name}}}, which is secret, and an image's name is seen by many"
    if name == "git_sha" and not fields[name]:
        return (
            f"has the field {{git_sha}}, and {context.root} is in no git repository with a commit"
        )
    return ""


class _Formatter(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, datetime):
            return value.strftime(format_spec or ISO)
        return format(value, format_spec) if format_spec else str(value)
