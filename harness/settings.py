"""The project's settings: ``[tool.harness]`` in its pyproject.toml.

[tool.harness]
cache_size = "20G"
checkpoint_max_age = "24h"
image_max_age = "7d"

[tool.harness.variables]
region = "eu-north-1"
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness import duration
from harness.errors import ConfigurationError
from harness.size import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

FILE = "pyproject.toml"
TABLE = "tool.harness"


def _setting(default: object, parse: Callable[[str, Any], Any], variable: str = "") -> Any:
    """One key.

    Args:
        default: its value where nobody has set it.
        parse: gets what messages call the value, and the value; raises `ConfigurationError`.
        variable: of the environment, which overrides the file unless it is empty.
    """
    return field(default_factory=lambda: default, metadata={"parse": parse, "variable": variable})


def _table_of_values(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name}: [{TABLE}.variables] is a table: write it in brackets")
    return value


@dataclass(frozen=True)
class Settings:
    """All of them; each key is a line here."""

    cache_size: int = _setting(20 << 30, parse_size, "HARNESS_CACHE_SIZE")
    """Bytes that the cache may have once nobody uses it; default 20 GiB."""
    checkpoint_max_age: float = _setting(24 * 3600.0, duration.seconds)
    """Seconds for which a machine's provisioning may be resumed; default 24 hours."""
    image_max_age: float = _setting(7 * 24 * 3600.0, duration.seconds)
    """Seconds for which ``--skip-unchanged`` takes an image for up to date; default 7 days."""
    variables: Mapping[str, Any] = _setting({}, _table_of_values)
    """Values of variables (`harness.var`), by their names."""


def read(folder: Path) -> Settings:
    """The settings of a project; its folder may have no pyproject.toml.

    Raises:
        ConfigurationError: there is no such key, or its value is wrong.
    """
    file = folder / FILE
    table = _table(file)
    keys = {key.name: key.metadata for key in dataclasses.fields(Settings)}
    for name in table:
        if name not in keys:
            raise ConfigurationError(f"{file}: [{TABLE}] has no key {name!r}{_way(name, keys)}")
    values = {}
    for name, key in keys.items():
        if text := os.environ.get(key["variable"]):
            values[name] = key["parse"](key["variable"], text)
        elif name in table:
            values[name] = key["parse"](f"{file}: {name}", table[name])
    return Settings(**values)


def find(folder: Path) -> Settings:
    """The settings of the project that has the folder: of the nearest pyproject.toml above.

    Raises:
        ConfigurationError: as `read` does.
    """
    return read(next((f for f in (folder, *folder.parents) if (f / FILE).is_file()), folder))


def _table(file: Path) -> Mapping[str, Any]:
    try:
        with file.open("rb") as stream:
            tools = tomllib.load(stream).get("tool", {})
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is no TOML: {error}") from None
    table = tools.get("harness", {}) if isinstance(tools, dict) else tools
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: [{TABLE}] is a table: write it in brackets")
    return table


def _way(name: str, keys: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, keys, n=1)
    return f": did you mean {close[0]!r}?" if close else f"; there are {', '.join(keys)}"
