"""Packer's manifest: what was made, by which run, in a file that other tools read."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from harness.post_processors.base import PostProcessor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.post_processors.artifact import Artifact, Run


@dataclass(frozen=True, kw_only=True)
class Manifest(PostProcessor):
    """Adds an entry to a manifest of Packer's form; what is in the file stays.

    Args:
        output: the file; default ``packer-manifest.json``.
        strip_path: name files without their folders. Default False.
        strip_time: leave out when it was made. Default False.
        custom_data: texts to add, in which ``{{.BuildName}}`` and ``{{.BuilderType}}`` may stand.

    Raises:
        ConfigurationError: when it runs, the file is there and is no manifest.

    Example:
        `Manifest(custom_data={"commit": os.environ["GIT_COMMIT"]})`
    """

    type: ClassVar[str] = "manifest"
    insists: ClassVar[bool] = True

    output: str = "packer-manifest.json"
    strip_path: bool = False
    strip_time: bool = False
    custom_data: Mapping[str, str] = field(default_factory=dict)

    def apply(self, artifact: Artifact, run: Run) -> Artifact:
        path = self.target(self.output, artifact, run)
        with run.alone():
            document = self._read(path)
            document["builds"] = [*(document.get("builds") or ()), self._entry(artifact, run)]
            document["last_run_uuid"] = run.id
            partial = path.with_name(f".{path.name}.partial")
            partial.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
            partial.replace(path)
        return artifact

    def _read(self, path: Path) -> dict[str, Any]:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        try:
            found = json.loads(text or "{}")
        except ValueError as error:
            raise self.error(f"{path} is no manifest, nothing is added to it: {error}") from None
        if not isinstance(found, dict) or not isinstance(found.get("builds", []), list | None):
            raise self.error(f"{path} is no manifest, and nothing is added to it")
        return found

    def _entry(self, artifact: Artifact, run: Run) -> dict[str, Any]:
        data = {
            name: self.render(f"custom_data[{name!r}]", text, artifact)
            for name, text in self.custom_data.items()
        }
        return {
            "name": artifact.source,
            "builder_type": artifact.source_type,
            **({} if self.strip_time else {"build_time": int(time.time())}),
            "files": [self._file(path, run) for path in artifact.files] or None,
            "artifact_id": artifact.id,
            "packer_run_uuid": run.id,
            "custom_data": data or None,
        }

    def _file(self, path: Path, run: Run) -> dict[str, Any]:
        name = path.name if self.strip_path else run.shown(path)
        return {"name": name, "size": path.stat().st_size}
