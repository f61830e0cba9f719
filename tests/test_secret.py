"""A text that shows itself to nobody."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest

from harness.errors import ConfigurationError
from harness.secret import Secret, hidden, reveal, secrets_in
from harness.sources.qemu import Qemu

TOKEN = Secret("s3cr3t-token")


def test_it_reads_as_its_mask_and_is_revealed_on_purpose() -> None:
    shown = [str(TOKEN), repr(TOKEN), f"{TOKEN}", f"{TOKEN!r:>5}", str([TOKEN]), f"{TOKEN:>5}"]
    assert not [text for text in shown if "s3cr3t" in text]
    assert (str(TOKEN), f"{TOKEN:>5}") == ("***", "  ***")
    assert TOKEN.reveal() == reveal(TOKEN) == reveal("s3cr3t-token")


@pytest.mark.parametrize("write", [json.dumps, pickle.dumps, "".join, lambda s: "a" + s])
def test_nothing_takes_it_for_a_text(write: Any) -> None:
    with pytest.raises(TypeError) as caught:
        write(TOKEN)
    assert "s3cr3t" not in str(caught.value)


def test_a_copy_is_itself_and_it_cannot_be_changed() -> None:
    @dataclasses.dataclass
    class Options:
        tokens: list[Secret]

    assert dataclasses.asdict(Options([TOKEN])) == {"tokens": [TOKEN]}
    assert copy.deepcopy(TOKEN) is TOKEN
    assert Secret("a") == Secret("a") != Secret("b")
    assert not Secret("")
    with pytest.raises(AttributeError):
        TOKEN._value = "x"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="takes a text, and was given one of type NoneType"
    ):
        Secret(None)  # type: ignore[arg-type]  # that is the point


def test_secrets_are_found_and_hidden_however_deep_they_are() -> None:
    value = {"a": [TOKEN, ("x", {"b": TOKEN})], "c": 1}
    assert [name for name, _ in secrets_in("option", value)] == [
        "option['a']",
        "option['a']['b']",
    ]
    itself: dict[str, Any] = {"token": TOKEN}
    itself["itself"] = [itself]
    assert [*secrets_in("module", itself)] == [("module['token']", TOKEN)]
    assert hidden(value) == {"a": ["***", ["x", {"b": "***"}]], "c": 1}


def test_options_of_a_source_tell_what_is_secret_in_them_and_show_none_of_it() -> None:
    source = Qemu(
        ssh_password="p4ssw0rd!",
        user_data=Secret("#cloud-config\npassword: s3cr3t"),
        cd_content={"license": Secret("l1cense-key"), "text": "open"},
        shutdown_command=Secret("halt --token s3cr3t-token"),
        qemuargs=[["-device", "open"], ["-append", TOKEN]],
    )
    known = {name: reveal(secret) for name, secret in source.secrets()}
    assert known == {
        "ssh_password": "p4ssw0rd!",
        "user_data": "#cloud-config\npassword: s3cr3t",
        "cd_content['license']": "l1cense-key",
        "shutdown_command": "halt --token s3cr3t-token",
        "qemuargs": "s3cr3t-token",
    }
    shown = json.dumps(source.options()) + repr(source)
    for secret in known.values():
        assert secret not in shown
    assert source.options()["qemuargs"] == [["-device", "open"], ["-append", "***"]]
    assert source.options()["cd_content"]["license"] == "***"


def test_user_data_that_is_no_secret_hides_nothing() -> None:
    assert not list(Qemu(user_data="#cloud-config\npackages: [nginx]\n").secrets())
