"""What cloud-init is told: what lets us in, and what the build's author wants beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email import message_from_string
from email.message import EmailMessage
from typing import Any

import yaml

HEADER = "#cloud-config"
HOSTNAME = {"hostname", "fqdn", "preserve_hostname"}


@dataclass(frozen=True)
class Login:
    """A user whom our key lets in, and the host key that the machine shows.

    No ``public_key``: the user is let in by other means, and keeps them.
    """

    username: str
    public_key: str
    host_private: str = field(repr=False)
    host_public: str


def compose(login: Login, theirs: str = "") -> str:
    """User data for cloud-init: a cloud-config that plants our keys, and the author's own.

    Args:
        login: who is let in.
        theirs: whatever cloud-init reads (a cloud-config, a script, a MIME archive); default none.
            In a cloud-config, its users stay, and one who has the login's name is let in by our
            key too. ``disable_root``, ``ssh_deletekeys`` and ``ssh_keys`` are ours. In anything
            that is no plain cloud-config nothing is looked at: its own ``users`` should not name
            the login's.
    """
    if not theirs.strip():
        return _config(login, {})
    known = _parsed(theirs)
    ours = _part(_config(login, known))
    if known is None:
        # What cannot be read may have users; a list of ours would otherwise take their place.
        ours["Merge-Type"] = "dict(recurse_list)+list(append)+str()"
    message = EmailMessage()
    message.make_mixed()
    message.attach(_message(theirs))
    message.attach(ours)
    return message.as_string()


def _config(login: Login, theirs: dict[str, Any] | None) -> str:
    """Our part; ``theirs`` is None where it cannot be read."""
    config = {
        "users": _users(login, theirs.get("users") if theirs else None),
        "disable_root": login.username != "root",
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": login.host_private, "ed25519_public": login.host_public},
    }
    if theirs is not None and not theirs.keys() & HOSTNAME:
        config["preserve_hostname"] = True  # the base has one, or the build sets it
    # JSON is YAML; a date of YAML's, in a user of theirs, is a string here and there.
    return f"{HEADER}\n{json.dumps(config, indent=1, default=str)}\n"


def _users(login: Login, theirs: Any) -> list[Any]:
    """The users of the machine, the login's among them."""
    if theirs is None:
        # The default user is not made for root's sake: who would stay in the image.
        return [_user(login)] if login.username == "root" else ["default", _user(login)]
    users, found = [], False
    for user in _listed(theirs):
        is_ours = login.username == (user.get("name") if isinstance(user, dict) else user)
        users.append(_user(login, user) if is_ours else user)
        found = found or is_ours
    return users if found else [*users, _user(login)]


def _user(login: Login, theirs: Any = None) -> dict[str, Any]:
    """The login's user: as the author has it, with our key, and able to become root."""
    own: dict[str, Any] = {"lock_passwd": False}
    if login.username != "root":
        own["lock_passwd"] = bool(login.public_key)
        own |= {"sudo": "ALL=(ALL) NOPASSWD:ALL", "shell": "/bin/bash"}
    given = {k.replace("-", "_"): v for k, v in theirs.items()} if isinstance(theirs, dict) else {}
    keys = given.pop("ssh_authorized_keys", None) or []
    keys = [keys] if isinstance(keys, str) else [*keys]
    keys += [login.public_key] if login.public_key else []
    return {"name": login.username, **own, **given, "ssh_authorized_keys": keys}


def _listed(users: Any) -> list[Any]:
    """cloud-init's three ways to write users, as a list."""
    if isinstance(users, str):
        return [name.strip() for name in users.split(",")]
    if isinstance(users, dict):
        return [{**v, "name": k} if isinstance(v, dict) else k for k, v in users.items() if v]
    return list(users)


def _parsed(text: str) -> dict[str, Any] | None:
    """A cloud-config's content; None: it is something else."""
    if text.lstrip().split("\n", 1)[0].strip() != HEADER:
        return None
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return found if isinstance(found, dict) else {} if found is None else None


def _message(text: str) -> EmailMessage:
    """User data of any kind as a part of a MIME archive; an archive, as the one that it is."""
    if "mime-version:" in text[:4096].lower():
        return message_from_string(text, EmailMessage)
    return _part(text)  # cloud-init tells by the first line what it is


def _part(text: str) -> EmailMessage:
    part = EmailMessage()
    part.set_content(text)
    return part
