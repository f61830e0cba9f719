"""Values in the place of variables in a source's options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ConfigurationError
from harness.given import Given, Namespace
from harness.secret import Secret
from harness.sources.qemu import Qemu
from harness.substitution import declared_in, named_in, resolved
from harness.testing import FakeSource
from harness.variables import var

if TYPE_CHECKING:
    from harness.variables import Variable

A, N = var("a", default="x"), var("n", default=8)
TOKEN = var("token", default="s3cr3t-token", sensitive=True)
ALL: tuple[Any, ...] = (
    A,
    N,
    TOKEN,
    var("flag", default=True),
    var("list", default=["p", "q"]),
    var("none", default=None),
    var("keys", default=["k1-secret"], sensitive=True),
)


def namespace(*variables: Variable) -> Namespace:
    return Namespace({v.name: v for v in variables or ALL}, Given())


def test_a_source_without_variables_is_itself() -> None:
    source = Qemu(image_name="{build}-{{var.a}}", cd_files=["a"], params={"x": [1, ("b",)]})
    assert resolved(source, namespace()) is source


def test_options_lists_mappings_and_texts() -> None:
    source = Qemu(
        memory=var("n", default=8),
        disk_size="{var.n}G",
        image_name="{build}-{var.a}-{timestamp}",
        qemuargs=[["-smp", "{var.n},{ssh_port}"], ["-x", A]],
        cd_content={"{var.a}.txt": "flag={var.flag} list={var.list}"},
        cd_files=(Path("/iso/{var.a}"), "b"),
        params={"a": A, "deep": {"n": [N]}},
    )
    assert {v.name for v in declared_in(source)} == {"n", "a"}
    assert ("image_name", "a") in [*named_in(source)]
    with pytest.raises(ConfigurationError, match="memory=8: write a whole number of MiB, at least"):
        resolved(source, namespace())
    known = namespace(*(v for v in ALL if v.name != "n"), var("n", default=64))
    found = resolved(source, known)
    assert (found.memory, found.disk_size) == (64, "64G")
    assert found.image_name == "{build}-x-{timestamp}"
    assert found.qemuargs == [["-smp", "64,{ssh_port}"], ["-x", "x"]]
    assert found.cd_content == {"x.txt": "flag=true list=p,q"}
    assert found.cd_files == (Path("/iso/x"), "b")
    assert found.params == {"a": "x", "deep": {"n": [64]}}
    assert source.image_name == "{build}-{var.a}-{timestamp}", "the source itself stays"


@dataclass(frozen=True)
class Taking(FakeSource):
    password: str | Secret = field(default="", repr=False)
    words: list[str] = field(default_factory=list)
    anything: Any = None


def test_secrets_stay_secret_where_the_option_takes_one() -> None:
    found = resolved(
        Taking(
            password="p-{var.token}",
            words=[TOKEN, "w-{var.token}"],
            anything=[var("keys", sensitive=True), "{var.keys}", "{var.a}"],
            prints="on {var.token}",
        ),
        namespace(),
    )
    assert found.password == Secret("p-s3cr3t-token")
    assert found.words == ["s3cr3t-token", "w-s3cr3t-token"]
    assert found.anything == [[Secret("k1-secret")], Secret("k1-secret"), "x"]
    assert found.prints == "on s3cr3t-token"


def test_errors_show_values_and_no_secret() -> None:
    source = Qemu(memory=TOKEN, image_name="{var.a}")
    with pytest.raises(ConfigurationError) as caught:
        resolved(source, namespace())
    assert str(caught.value) == (
        "memory='***': write a whole number of MiB, at least 64 "
        "(variables: a='x' from default, token='***' from default)"
    )


def test_nothing_is_no_text() -> None:
    with pytest.raises(ConfigurationError, match="the variable 'none' is None, which is no text"):
        resolved(Qemu(image_name="a-{var.none}"), namespace())
    assert resolved(Qemu(disk_size=var("none", default=None)), namespace()).disk_size is None
