"""When there is no image, on real machines: each reason, and nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.qemu.conftest import VmProject

pytestmark = pytest.mark.vm

# Four machines at once: what each proves differs, what they cost is shared.
BUILDS = """
def machine_called(name):
    return harness.Qemu(name=name, memory=512, cpus=1)

@harness.build(machine_called("failing-test"))
def one(machine): pass

def test_that_passes(one): assert one.exists("sh")
def test_that_fails(one): assert one.exists("no-such-program")

@harness.build(machine_called("failing-teardown"))
def two(machine): pass

@pytest.fixture
def leftover(two):
    yield
    assert two.run("false").succeeded, "could not clean up"

def test_before_the_teardown(leftover, two): assert two.exists("sh")

@harness.build(machine_called("failing-provisioning"))
def three(machine):
    machine.shell("echo about to fail", "cp /no/such/file /tmp", "echo never")

def test_never_run(three): assert False, "this ran"

@harness.build(machine_called("good"))
def four(machine): machine.shell("true")

def test_good(four): assert four.exists("sh")
def test_also_good(four): assert four.exists("sh")
"""


def test_reasons_for_no_image(vm_project: VmProject) -> None:
    vm_project.write(BUILDS)
    result = vm_project.run()
    assert result.ret == 1
    names = [path.name for path in vm_project.images()]
    assert len(names) == 2, "one image, and its stable name"
    assert all(name.startswith("four") for name in names)
    result.stdout.fnmatch_lines(
        [
            "three.failing-provisioning: provision failed at test_builds.py:*",
            "$ cp /no/such/file /tmp",
            "exit status 1",
            "stdout:",
            "  about to fail",
            "stderr:",
            "  cp: cannot stat '/no/such/file': No such file or directory",
        ]
    )
    reasons = {name: entry["reason"] for name, entry in vm_project.manifest().items()}
    assert reasons == {
        "one.failing-test": "1 of 2 tests failed (test_that_fails[failing-test]): "
        "no image was taken",
        "two.failing-teardown": "1 of 1 test failed "
        "(test_before_the_teardown[failing-teardown]): no image was taken",
        "three.failing-provisioning": "provision failed "
        "(cp /no/such/file /tmp): no image was taken",
        "four.good": "",
    }
    assert "this ran" not in result.stdout.str()
    assert vm_project.leftovers() == []
    _a_selection_takes_none(vm_project)


def _a_selection_takes_none(project: VmProject) -> None:
    before = project.images()
    last_failed = project.outcomes("--lf", "-k", "one")
    assert last_failed == {
        "test_that_fails[failing-test]": "FAILED",
        "one::image[failing-test]": "FAILED",
    }
    left_out = project.run("-k", "four and not test_good")
    assert left_out.ret == 1
    left_out.stdout.fnmatch_lines(["four.good: 1 of 2 tests not run (test_good*"])
    alone = project.run("test_builds.py::four::image")
    assert alone.ret == 1
    assert "boot" not in project.manifest()["four.good"]["stages"]
    assert project.images() == before
    assert project.leftovers() == []
