"""Which files of a repository a module of tests is made of: itself, and all that it imports."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def digest(modules: Iterable[Path], root: Path) -> str:
    """A hash of what is in the modules, and in those that they import from below ``root``."""
    state = hashlib.sha256()
    for path in sorted(closure(modules, root)):
        state.update(f"{path.relative_to(root)}\0".encode())
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


def closure(modules: Iterable[Path], root: Path) -> set[Path]:
    """The modules, and those that they import from below ``root``, however far off."""
    found: set[Path] = set()
    left = [path.resolve() for path in modules]
    while left:
        path = left.pop()
        if path not in found and _is_theirs(path, root):
            found.add(path)
            left += filter(None, map(_file, _imported(path, _name(path))))
    return found


def _is_theirs(path: Path, root: Path) -> bool:
    """Whether a file is the repository's own, and not of an environment that lies in it."""
    return path.is_relative_to(root) and "site-packages" not in path.parts


@functools.cache
def _imported(path: Path, package: str) -> tuple[str, ...]:
    """Names of modules, some of which may be names in modules."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # pytest says so
        return ()
    return tuple(name for node in ast.walk(tree) for name in _names(node, package))


def _names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _with_parents(alias.name)
    elif isinstance(node, ast.ImportFrom):
        origin = node.module or ""
        if node.level:
            parents = package.split(".")[: -node.level or None]
            origin = ".".join([*parents, *([origin] if origin else [])])
        yield from _with_parents(origin)
        yield from (f"{origin}.{alias.name}" for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _name(path: Path) -> str:
    """What a module is called whose file this is, so that what it imports relatively is found."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == str(path):
            return f"{name}.__init__" if path.name == "__init__.py" else name
    return ""


def _file(name: str) -> Path | None:
    """Where a module comes from; None: nowhere, or it is no file."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if module is None:
        with contextlib.suppress(ImportError, ValueError, AttributeError):
            spec = importlib.util.find_spec(name)
            origin = spec.origin if spec else None
    path = Path(origin) if origin else None
    return path.resolve() if path and path.suffix == ".py" and path.exists() else None
