"""Where we differ from Packer 1.6.6 on purpose."""

from __future__ import annotations

REFUSED = {
    "undefined-variable": "an undefined variable renders nothing in Packer: a typo goes unnoticed",
    "sensitive-unknown": "a typo there would show the secret",
    "nanoseconds": "Packer takes a bare number for nanoseconds, which nobody means",
    "same-build": "Packer drops one of two builders whose names come to the same",
    "field-in-name": 'Packer calls the build "<no value>"',
    "latin-1": "Packer puts U+FFFD for bytes that are no UTF-8",
    "half-a-pair": "Packer puts U+FFFD for half of a surrogate pair",
    "range": "range, with and variables are not supported: templates have no lists to go through",
}
"""Broken templates of the corpus that Packer takes."""
