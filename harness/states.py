"""Where a build is, and what it is told, between its thread and the others."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a build is, as far as others need to know."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    """Provisioned: its tests may run."""
    SEALED = "sealed"
    """Its tests of the sealed machine may run."""
    FAILED = "failed"
    """Not provisioned, or not sealed; ``error`` says why."""
    FINISHED = "finished"
    """Over: its machine is gone, ``image`` is there or ``reason`` says why not."""


class Word(Enum):
    """What a build that waits is told to do."""

    SEAL = "seal"
    IMAGE = "image"
    RELEASE = "release"
