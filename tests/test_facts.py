from __future__ import annotations

import pytest

from harness import facts
from harness.facts import Facts
from harness.model import CommandResult

STATUS = "dpkg-query -f '${Status}' -W %s"
BOTH = "dpkg-query -f '${Status} ${Version}' -W %s"
GROUP = "getent group adm"

ANSWERS = {
    BOTH % "dash": b"install ok installed 0.5.12-2",
    BOTH % "two": b"install ok installed 1install ok installed 1",
    BOTH % "half": b"unknown ok not-installed ",
    STATUS % "two": b"install ok installedinstall ok installed",
    STATUS % "half": b"unknown ok not-installed",
    GROUP: b"adm:x:4:syslog,me\n",
    "getent passwd root": b"root:x:0:0:root:/root:/bin/bash\n",
    "cat /etc/hosts": b"hosts",
    "apt-get install x": b"",
    "echo x": b"x\n",
}


class FakeMachine:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.facts = Facts(self._execute)

    def _execute(self, command: str) -> CommandResult:
        self.asked.append(command)
        out = ANSWERS.get(command)
        return CommandResult(command, 1 if out is None else 0, out or b"")

    def told(self, *commands: str) -> list[bytes]:
        answers = [self.facts.answer(command) for command in commands]
        assert [a.command for a in answers] == list(commands)
        return [a.stdout_bytes for a in answers]


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


def test_one_answer_serves_its_neighbours(machine: FakeMachine) -> None:
    questions = (
        STATUS % "dash",
        BOTH % "dash",
        GROUP,
        *(f"{GROUP} | cut -d':' -f{n}" for n in "34"),
    )
    told = machine.told(*questions)
    assert told == [
        b"install ok installed",
        ANSWERS[BOTH % "dash"],
        ANSWERS[GROUP],
        b"4\n",
        b"syslog,me\n",
    ]
    assert machine.asked == [BOTH % "dash", GROUP]


@pytest.mark.parametrize("package", ["two", "half"])
def test_what_an_answer_does_not_hold_is_asked(machine: FakeMachine, package: str) -> None:
    assert machine.told(STATUS % package) == [ANSWERS[STATUS % package]]


def test_what_is_not_there_may_come(machine: FakeMachine) -> None:
    assert machine.facts.answer(STATUS % "nginx").failed
    assert machine.facts.answer(STATUS % "nginx").failed
    assert machine.facts.answer("getent group nginx | cut -d':' -f3").failed
    assert len(machine.asked) == 4


@pytest.mark.parametrize("between", ["apt-get install x", "getent passwd root; userdel me"])
def test_a_command_that_may_change_something(machine: FakeMachine, between: str) -> None:
    machine.told(GROUP, between, GROUP)
    assert machine.asked == [GROUP, between, GROUP]


def test_other_queries_change_nothing_and_are_asked_afresh(machine: FakeMachine) -> None:
    machine.told(GROUP, "cat /etc/hosts", "echo x", "cat /etc/hosts", GROUP)
    assert machine.asked == [GROUP, "cat /etc/hosts", "echo x", "cat /etc/hosts"]


def test_a_pipeline_is_no_fact(machine: FakeMachine) -> None:
    machine.told(*["id root | cat - /etc/hosts"] * 2)
    assert len(machine.asked) == 2


def test_facts_are_forgotten(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.told(GROUP)
    machine.facts.forget()
    machine.told(GROUP)
    monkeypatch.setattr(facts, "LIFE", -1)
    machine.told(GROUP)
    assert len(machine.asked) == 3
