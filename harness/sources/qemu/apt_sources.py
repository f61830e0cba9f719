"""Which archive a base is made from: the one that this computer already uses, if it does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness import cache, environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.sources.qemu.distributions import Distribution

_FIELDS = ("REPO_URI", "RELEASE", "COMPONENT", "ORIGIN", "SOURCESENTRY")
# Backports, proposed updates and the like are nobody's base.
_SUITE = re.compile(r"[a-z]+(?P<pocket>-updates|-security)?")
# How to reach the archive from here, not what to take from it.
_ACCESS = re.compile(r"Acquire::(https?|Check-|Retries|ForceIPv)")


@dataclass(frozen=True)
class IndexTarget:
    """One package list of this machine's apt, as ``apt-get indextargets`` knows it."""

    uri: str
    release: str
    component: str
    origin: str  # empty where no lists were fetched yet
    entry: str  # "/etc/apt/sources.list:3", or the number of a stanza in a .sources file


def sources_for(distribution: Distribution, suite: str) -> tuple[str, ...]:
    """The apt source lines for ``suite``; none where this computer knows no such archive."""
    return select(_index_targets(), distribution, suite)


def select(
    targets: Iterable[IndexTarget], distribution: Distribution, suite: str
) -> tuple[str, ...]:
    """The lines for ``suite`` from those of ``targets`` that are the distribution's own."""
    components: dict[tuple[str, str], list[str]] = {}
    for target in targets:
        match = _SUITE.fullmatch(target.release)
        uri = _plain_uri(target.uri)
        if not (match and uri and _is_from(distribution, target)):
            continue
        chosen = components.setdefault((uri, suite + (match["pocket"] or "")), [])
        if target.component not in chosen:
            chosen.append(target.component)
    return tuple(
        f"deb {distribution.source_option}{uri} {release} {' '.join(chosen)}"
        for (uri, release), chosen in components.items()
    )


def access_settings() -> str:
    """This machine's proxies and certificates, as apt.conf: without them no archive may answer."""
    if not shutil.which("apt-config"):
        return ""
    lines = _output("apt-config", "dump", "--no-empty").splitlines()
    return "".join(f"{line}\n" for line in lines if _ACCESS.match(line))


def _index_targets() -> Iterator[IndexTarget]:
    if not shutil.which("apt-get"):
        return
    name = f"apt-{_state()}"
    lines: list[str] | None = cache.recall(name)
    if lines is None:  # half a second of work, for what seldom changes
        fields = "\t".join(f"$({field})" for field in _FIELDS)
        question = ("indextargets", "--format", fields, "Created-By: Packages")
        lines = _output("apt-get", *question).splitlines()
        cache.remember(name, lines)
    for line in lines:
        # A field without a value stays as it was asked for.
        values = [("" if value.startswith("$(") else value) for value in line.split("\t")]
        yield IndexTarget(*values)


def _state() -> str:
    """Of all that apt's answer depends on: its settings, and which lists it has."""
    paths = [Path("/etc/apt"), *sorted(Path("/etc/apt").glob("**/*")), Path("/var/lib/apt/lists")]
    facts: list[object] = [os.environ.get("APT_CONFIG")]
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            facts.append([str(path), status.st_mtime_ns, status.st_size])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _is_from(distribution: Distribution, target: IndexTarget) -> bool:
    if target.origin:
        return target.origin == distribution.origin
    entry = _source_entry(target.entry)
    return any(signer in entry for signer in distribution.signers)


def _source_entry(entry: str) -> str:
    """The text of a source's line in a .list file or of its stanza in a .sources file."""
    name, _, number = entry.rpartition(":")
    try:
        text = Path(name).read_text(encoding="utf-8")
    except OSError:
        return ""
    parts = re.split(r"\n\s*\n", text.strip()) if name.endswith(".sources") else text.splitlines()
    return parts[int(number) - 1] if 0 < int(number) <= len(parts) else ""


def _plain_uri(uri: str) -> str:
    """The URI as a guest can use it, or nothing: no local paths, and nobody's password."""
    if uri.startswith("mirror+file:"):  # Debian's cloud images list their mirrors in a file
        uri = _first_line(Path(uri.removeprefix("mirror+file:").rstrip("/")))
    parts = urlsplit(uri)
    return uri if parts.scheme in {"http", "https"} and "@" not in parts.netloc else ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").split(maxsplit=1)[0]
    except (OSError, IndexError):
        return ""


def _output(*argv: str) -> str:
    return subprocess.run(
        argv, check=True, capture_output=True, text=True, env=environment.snapshot()
    ).stdout
