"""What a test was told of packages, users and groups, for as long as nothing can have changed it.

testinfra asks anew for each property. Here one answer serves its neighbours: a package's status
and version, a user's home and shell, a group's existence, id and members.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from harness import query

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import CommandResult

    Part = Callable[[CommandResult], CommandResult | None]

LIFE = 10.0
"""Seconds that an answer counts, so that a test that waits for a change sees it."""

_FACT = re.compile(r"(?:dpkg-query|rpm -q|getent (?:passwd|group)|id) ")
_STATUS = re.compile(r"dpkg-query -f '\$\{Status\}' -W (\S+)")
_GROUP_FIELD = re.compile(r"(getent group \S+) \| cut -d':' -f([34])")


class Facts:
    """Asks, or remembers.

    Args:
        execute: runs a command on the machine.
    """

    def __init__(self, execute: Callable[[str], CommandResult]) -> None:
        self._execute = execute
        self._known: dict[str, tuple[float, CommandResult]] = {}

    def forget(self) -> None:
        """Ask for everything anew."""
        self._known.clear()

    def answer(self, command: str) -> CommandResult:
        """What a command answers; any that may change something makes all be forgotten."""
        if query.way(command) == query.NONE:
            self.forget()
            return self._execute(command)
        wider, part = _wider(command)
        if query.way(wider) == "exec" and _FACT.match(wider):
            told = part(self._remembered(wider))
            if told is not None:
                return replace(told, command=command)
        return self._execute(command)

    def _remembered(self, command: str) -> CommandResult:
        now = time.monotonic()
        since, answer = self._known.get(command, (-LIFE, None))
        if answer is None or now - since > LIFE:
            answer = self._execute(command)
            if answer.succeeded:  # what is not there may come, and is waited for
                self._known[command] = now, answer
        return answer


def _wider(command: str) -> tuple[str, Part]:
    """A question whose answer holds the command's own, and how to find it there, if it can be."""
    if found := _STATUS.fullmatch(command):
        return f"dpkg-query -f '${{Status}} ${{Version}}' -W {found[1]}", _status
    if found := _GROUP_FIELD.fullmatch(command):
        return found[1], lambda answer: _field(answer, int(found[2]))
    return command, lambda answer: answer


def _status(answer: CommandResult) -> CommandResult | None:
    """Three words without the version; where there is no such package both fail alike."""
    if answer.failed:
        return answer
    # There may be no version, and several for a package of several architectures.
    found = re.fullmatch(rb"(\S+ \S+ \S+) \S+", answer.stdout_bytes)
    return replace(answer, stdout_bytes=found[1]) if found else None


def _field(answer: CommandResult, number: int) -> CommandResult | None:
    """The id or the members, as of NAME:PASSWORD:ID:MEMBERS."""
    found = re.fullmatch(rb"[^:\n]*:[^:\n]*:([^:\n]*):([^:\n]*)\n", answer.stdout_bytes)
    return replace(answer, stdout_bytes=found[number - 2] + b"\n") if found else None
