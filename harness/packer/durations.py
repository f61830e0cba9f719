"""Durations as Go writes them: "1h30m", "500ms".

`harness.duration` takes more (days, bare seconds): Packer does not, and a template is Packer's.
"""

from __future__ import annotations

import re

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PART = r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"\+?(?:0|(?:{_PART})+)", re.ASCII)


def seconds(text: str) -> float:
    """A duration in seconds.

    Raises:
        ValueError: it is none, or negative.
    """
    if len(text) > 200 or not _DURATION.fullmatch(text):  # noqa: PLR2004 - far beyond any
        shown = repr(text if len(text) <= 40 else text[:40] + "…")  # noqa: PLR2004 - likewise
        raise ValueError(f'{shown} is no duration: write "90s", "1h30m", "500ms"')
    return float(sum(float(n) * _SECONDS[unit] for n, unit in re.findall(_PART, text)))
