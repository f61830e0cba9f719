"""User data of a build's author, and ours with it; tests/qemu has a cloud-init read it."""

from __future__ import annotations

import dataclasses
import email.policy
import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.user_data import Login, compose

if TYPE_CHECKING:
    from email.message import MIMEPart

LOGIN = Login("builder", "ssh-ed25519 ours", "private", "ssh-ed25519 host")
ROOT = Login("root", "ssh-ed25519 ours", "private", "ssh-ed25519 host")
OURS = {
    "name": "builder",
    "sudo": "ALL=(ALL) NOPASSWD:ALL",
    "shell": "/bin/bash",
    "lock_passwd": True,
    "ssh_authorized_keys": ["ssh-ed25519 ours"],
}


def config(text: str) -> dict[str, Any]:
    head, _, body = text.partition("\n")
    assert head == "#cloud-config"
    found: dict[str, Any] = json.loads(body)
    return found


def parts(login: Login, theirs: str) -> list[MIMEPart]:
    message = email.message_from_string(compose(login, theirs), policy=email.policy.default)
    return list(message.iter_parts())


@pytest.mark.parametrize(
    ("login", "names"), [(LOGIN, ["default", "builder"]), (ROOT, ["root"])], ids=["user", "root"]
)
def test_alone_it_lets_us_in(login: Login, names: list[str]) -> None:
    found = config(compose(login))
    users = [{"name": user} if isinstance(user, str) else user for user in found["users"]]
    assert [user["name"] for user in users] == names
    assert users[-1]["ssh_authorized_keys"] == ["ssh-ed25519 ours"]
    assert found["disable_root"] is (login is LOGIN)
    assert found["ssh_keys"] == {"ed25519_private": "private", "ed25519_public": "ssh-ed25519 host"}


@pytest.mark.parametrize(
    ("theirs", "users"),
    [
        ("packages: [nginx]", ["default", OURS]),
        ("users: []", [OURS]),
        ("users: [default, {name: alice}]", ["default", {"name": "alice"}, OURS]),
        ("users: default, alice", ["default", "alice", OURS]),
        ("users: {alice: {uid: 7}, bob: true}", [{"uid": 7, "name": "alice"}, "bob", OURS]),
        ("users: [builder]", [OURS]),
        (
            "users: [{name: alice, expiredate: 2040-01-02}]",
            [{"name": "alice", "expiredate": "2040-01-02"}, OURS],
        ),
        (
            "users: [{name: builder, shell: /bin/sh, ssh-authorized-keys: [theirs]}]",
            [OURS | {"shell": "/bin/sh", "ssh_authorized_keys": ["theirs", "ssh-ed25519 ours"]}],
        ),
        (
            "users: [{name: builder, ssh_authorized_keys: theirs}]",
            [OURS | {"ssh_authorized_keys": ["theirs", "ssh-ed25519 ours"]}],
        ),
    ],
)
def test_users_of_theirs_stay_and_ours_is_let_in(theirs: str, users: list[Any]) -> None:
    text = f"#cloud-config\n{theirs}\n"
    own, ours = parts(LOGIN, text)
    assert own.get_content() == text
    assert "Merge-Type" not in ours, "our list takes the place of theirs"
    assert config(ours.get_content())["users"] == users


@pytest.mark.parametrize(
    "theirs",
    [
        "#!/bin/sh\necho hello\n",
        "## template: jinja\n#cloud-config\nusers: [{name: {{ v1.x }}}]\n",
        "#cloud-config\n{not: [yaml\n",
        "#include\nhttps://example.org/ünser\n",
    ],
)
def test_what_is_no_plain_config_is_passed_on_and_ours_appended(theirs: str) -> None:
    own, ours = parts(LOGIN, theirs)
    assert own.get_content() == theirs
    assert "list(append)" in ours["Merge-Type"]
    assert config(ours.get_content())["users"] == ["default", OURS]


def test_who_has_another_way_in_gets_no_key() -> None:
    (user,) = config(compose(dataclasses.replace(ROOT, public_key="")))["users"]
    assert user == {"name": "root", "lock_passwd": False, "ssh_authorized_keys": []}
    _, ours = parts(dataclasses.replace(LOGIN, public_key=""), "#cloud-config\nusers: [builder]\n")
    (user,) = config(ours.get_content())["users"]
    assert user == OURS | {"lock_passwd": False, "ssh_authorized_keys": []}


def test_an_archive_stays_one() -> None:
    archive = compose(LOGIN, "#!/bin/sh\n")
    own, ours = parts(LOGIN, archive)
    assert own.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in own.iter_parts()] == ["text/plain"] * 2
    assert config(ours.get_content())["users"] == ["default", OURS]
