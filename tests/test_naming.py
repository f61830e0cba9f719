"""Names of images: their fields, and what platforms refuse."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness import naming
from harness.errors import ConfigurationError
from harness.naming import NameRule
from harness.secret import Secret
from harness.sources.qemu import Qemu, capture

if TYPE_CHECKING:
    from harness.sources.base import Context

AMI = NameRule(re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]"), "letters, digits and so on", 128, 3)
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def started(context: Context) -> Context:
    return replace(context, started=1_795_415_314, uuid="1b4e28ba-2fa1", git_sha=SHA)


def rendered(template: str, context: Context, **params: Any) -> str:
    return naming.render("ami_name", template, context, params, AMI)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("web-{timestamp}", "web-1795415314"),
        ("web-{isotime}", "web-20261123T062834Z"),
        ("web-{isotime:%Y-%m-%d %H.%M}", "web-2026-11-23 06.28"),
        ("web-{uuid}", "web-1b4e28ba-2fa1"),
        ("{build}/{source}", "web/qemu"),
        ("web-{git_sha}", f"web-{SHA}"),
        ("web-{git_sha:.8}", "web-01234567"),
        ("web-{release}-{size:03}", "web-12-008"),
    ],
)
def test_fields(started: Context, template: str, name: str) -> None:
    assert rendered(template, started, release="12", size=8) == name


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("web-{isotme}", "has the field {isotme}; did you mean 'isotime'? there are {timestamp}"),
        ("web-{zzz}", "has the field {zzz}; there are {timestamp}, {isotime}, {uuid}, {build}, "),
        ("web-{}", "has the field {}; there are"),
        ("web-{timestamp", "is no template: "),
        ("web-{timestamp:%Y}", "is no template: "),
        ("web-{release.a}", "has the field {release.a}"),
        ("web-{release:{nothing}}", "is no template: "),
        ("web-{token}", "has the field {token}, which is secret"),
        ("web:{release}", "makes the name 'web:12': ':' may not be in it; a name may have letters"),
        ("w", "makes the name 'w': it has 1 characters, and a name has 3 to 128"),
        ("w" * 129, "it has 129 characters, and a name has 3 to 128"),
    ],
)
def test_what_makes_no_name(started: Context, template: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rendered(template, started, release="12", token=Secret("s3cret"))
    assert str(caught.value).startswith(f"ami_name={template!r} ")
    assert message in str(caught.value)


def test_a_param_may_not_have_a_fields_name(started: Context) -> None:
    with pytest.raises(ConfigurationError, match="'uuid' already stands for something in names"):
        rendered("web", started, uuid=1)


def test_without_a_commit_there_is_no_sha(started: Context) -> None:
    nowhere = replace(started, git_sha="")
    assert rendered("web-{timestamp}", nowhere) == "web-1795415314"
    with pytest.raises(ConfigurationError, match="is in no git repository with a commit"):
        rendered("web-{git_sha}", nowhere)


def test_a_secret_is_in_no_name(started: Context) -> None:
    started.hide("a token", "s3cr3t-token")
    with pytest.raises(ConfigurationError, match="would show a secret") as caught:
        naming.check("ami_name", "web-{a}", started, {"a": "s3cr3t-token"}, AMI)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a/b", "'/' may not be in it; a name may have no slash (output_directory says where"),
        (".web", "'.' may not be in it"),
        ("we\nb", "may not be in it"),
        ("", "it has 0 bytes, and a name has 1 to 2"),
        ("ä" * 120, "it has 240 bytes"),
    ],
)
def test_of_qemu_the_name_is_a_files(context: Context, name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        capture.check_targets(Qemu(image_name=name), context)


def test_the_longest_name_of_qemu_is_one_that_a_file_can_have(context: Context) -> None:
    source = Qemu(image_name="w" * 255, disk_additional_size=["1G"])
    with pytest.raises(ConfigurationError, match="it has 255 bytes, and a name has 1 to") as caught:
        capture.check_targets(source, context)
    longest = int(str(caught.value).rpartition(" ")[2])
    path = context.root / f".{'w' * longest}-99.qcow2.partial"
    path.touch()
    capture.check_targets(replace(source, image_name="w" * longest), context)
