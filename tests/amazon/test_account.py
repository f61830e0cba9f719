"""Sessions, credentials, and what botocore raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.cancel import CancelToken
from harness.errors import ConfigurationError
from harness.sources.amazon.account import Access, Account, Api
from harness.sources.amazon.errors import ApiError
from harness.sources.amazon.place import Place
from tests.amazon.double import ACCOUNT, HOME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.amazon.double import Double

ROLE = f"arn:aws:iam::{ACCOUNT}:role/builder"


def api(access: Access) -> Api:
    return Api(Account(access), HOME, CancelToken(), 0)


def caller(access: Access) -> str:
    found: str = api(access).call("get_caller_identity", service="sts")["Arn"]
    return found


@pytest.mark.usefixtures("double")
def test_a_role_is_assumed() -> None:
    role = (("role_arn", ROLE), ("session_name", "nightly"))
    assert caller(Access(role=role)).endswith("assumed-role/builder/nightly")
    keys = Access(access_key="AKIAOTHER", secret_key="secret", role=role)
    assert caller(keys).endswith("assumed-role/builder/nightly")


@pytest.mark.usefixtures("double")
def test_a_profile_gives_credentials_its_region_and_its_role(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile base]\naws_access_key_id=AKIABASE\naws_secret_access_key=x\n"
        f"[profile ci]\nregion=eu-central-1\nsource_profile=base\nrole_arn={ROLE}\n"
        "role_session_name=from-profile\n"
        f"[profile guarded]\nsource_profile=base\nrole_arn={ROLE}\nrole_session_name=with-code\n"
        f"mfa_serial=arn:aws:iam::{ACCOUNT}:mfa/me\n"
    )
    assert caller(Access(profile="ci")).endswith("assumed-role/builder/from-profile")
    guarded = Access(profile="guarded", mfa_code="123456")
    assert caller(guarded).endswith("assumed-role/builder/with-code")


def test_a_client_is_made_once(double: Double) -> None:
    account = Account(Access())
    assert account.client("ec2", HOME) is account.client("ec2", HOME)
    assert account.client("ec2", HOME) is not account.client("ec2", "eu-central-1")


def test_pages_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {None: ([1, 2], "a"), "a": ([3], "b"), "b": ([], "")}

    class Client:
        def describe_volumes(self, NextToken: str | None = None) -> dict[str, object]:  # noqa: N803
            volumes, token = pages[NextToken]
            return {"Volumes": volumes, "NextToken": token}

    monkeypatch.setattr(Account, "client", lambda *_: Client())
    assert api(Access()).list("describe_volumes", "Volumes") == [1, 2, 3]


def test_a_wrong_parameter_is_told_with_the_call(double: Double) -> None:
    with pytest.raises(
        ConfigurationError, match=r"ec2:DescribeImages in us-west-2: [^\"]*\"Owner\""
    ):
        api(Access()).call("describe_images", Owner="self")


def test_what_is_wrong_names_call_code_and_request(double: Double) -> None:
    with pytest.raises(ApiError, match=r"ec2:StartInstances in us-west-2: InvalidInstanceID\S+: "):
        api(Access()).call("start_instances", InstanceIds=["i-0123456789abcdef0"])


@pytest.mark.parametrize(
    "place",
    [
        Place("us-west-2", "harness-web-1a2b"),
        Place("eu-central-1", "t", "ci"),
        Place("eu-central-1", "t", "", (("duration_seconds", "900"), ("role_arn", ROLE))),
    ],
)
def test_what_the_journal_says_leads_back(place: Place) -> None:
    assert Place.parse(str(place)) == place


def test_the_journal_has_no_keys(double: Double) -> None:
    access = Access(access_key="AKIAX", secret_key="topsecret", role=(("role_arn", ROLE),))
    text = str(Place.of(api(access), "t"))
    assert "AKIAX" not in text
    assert "topsecret" not in text
    assert Place.parse(text).api(CancelToken()).account.access.role == (("role_arn", ROLE),)
