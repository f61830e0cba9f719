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

VALUES = {
    "undefined fields": "Packer renders <no value>; ours is an error where the field is not known",
    "fields in variables": "1.6.6 renders <no value>; ours keeps them, as Packer 1.7 and later do",
    "variables of variables": "1.6.6 may take a given value before its expressions are rendered, "
    "depending on the order of names; ours takes what it comes to",
    "rendering twice": "shell-local renders what an expression came to once more",
    "lists in overrides": "1.6.6 replaces the first entries alone; ours the list, as documented",
    "large numbers": "Packer rounds whole numbers beyond 2**53; ours keeps them",
    "printf": "where a verb and its argument do not fit, Go writes %!s(...); ours is an error",
    "strftime": "Packer shows codes that it does not know; ours is an error",
    "packer_version": "we call ourselves 1.16.0",
    "min_packer_version": "is compared with that",
    "nesting": "Packer reads 10000 levels; ours 100, and files of 128 KiB",
    "negative durations and retries": "Packer takes them for none; ours is an error",
    "null in a variable file": "Packer takes it for an empty string; our caller gives strings",
    "names of root keys": "Packer takes them in any case; ours as they are documented",
}
"""What else is different: where, and why."""
