"""Files with values of variables: JSON, TOML or YAML."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class VarFile(NamedTuple):
    """What one file has; ``origin`` is how messages call it."""

    origin: str
    values: Mapping[str, Any]


def read(path: Path) -> Mapping[str, Any]:
    """The values in a file, by name.

    Raises:
        ConfigurationError: it cannot be read, or has something else. No message shows a value.
    """
    # Without an ending it may be a pipe: YAML, which JSON is too.
    parse = _PARSERS.get(path.suffix.lower() or ".yaml")
    if parse is None:
        raise ConfigurationError(
            f"--var-file {path}: a file with values is JSON, TOML or YAML, and its name ends in "
            f"{', '.join(_PARSERS)}"
        )
    try:
        values = parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"--var-file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--var-file {path}: it is no text in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--var-file {path}: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigurationError(
            f'--var-file {path}: write names and their values, as in {{"region": "eu-north-1"}}'
        )
    return values


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"{at}: {error.msg}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} is there twice")
    return dict(pairs)


def _yaml(text: str) -> Any:
    import yaml  # while nobody needs it, it costs nothing

    try:
        return _loaded(text) if text.strip() else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{at}it is no YAML") from None
    except yaml.YAMLError:
        raise ValueError("it is no YAML") from None


def _loaded(text: str) -> Any:
    import yaml  # as above

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            # Here and not where mappings are made: by then << has put names of others into them.
            node = super().compose_mapping_node(anchor)
            known = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if (key.tag, key.value) in known:
                        at = f"line {key.start_mark.line + 1}, column {key.start_mark.column + 1}"
                        raise ValueError(f"{at}: {key.value!r} is there twice")
                    known.add((key.tag, key.value))
            return node

    loader = Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


_PARSERS: dict[str, Callable[[str], Any]] = {
    ".json": _json,
    ".toml": tomllib.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
}
