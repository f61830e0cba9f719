"""The provisioners of a template on a machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness import packer, provisioners
from harness.errors import HarnessError
from harness.packer_builds.options import SCRIPTS, made, require_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.machine import Machine
    from harness.packer import Plan, Step, Value
    from harness.packer_builds.plans import Plans
    from harness.provisioners import Provisioner

OWN = {"Path": "{{.Path}}", "Vars": "{{.Vars}}", "Script": "{{.Script}}"}
"""Fields that the provisioner itself fills in."""
IDLE = {
    "shell": ("start_retry_timeout", "skip_clean", "binary", "use_env_var_file"),
    "shell-local": ("env_var_format", "use_linux_pathing", "tempfile_extension"),
    "file": ("generated",),
}
SOURCES = ("source", "sources")
"""Options that say how Packer goes about what we do otherwise."""


def provision(plans: Plans, machine: Machine) -> None:
    """Do what the plan of the machine's build says.

    Raises:
        HarnessError: a step failed; the template's error-cleanup-provisioner has run.
    """
    name = machine.source.name
    plan = plans.of(name)
    machine.hide(*plans.secrets(name))
    try:
        for step in plan.provisioners:
            _run(step, machine)
    except HarnessError as error:
        if plan.error_cleanup is not None:
            _clean_up(plan.error_cleanup, machine, error)
        raise


def check(plan: Plan, folder: Path) -> None:
    """Refuse wrong options, and files that are not there, before there is a machine.

    Raises:
        TemplateError: as it says.
    """
    for step in (*plan.provisioners, *([plan.error_cleanup] if plan.error_cleanup else [])):
        made_now = _made(step, _AnyField())
        for option in (*SCRIPTS, *(SOURCES if _is_upload(step, made_now) else ())):
            require_files(step.component, option, folder)


def _is_upload(step: Step, made_now: Provisioner) -> bool:
    """Of files that another step does not make first."""
    generated = step.component.options.get("generated")
    upload = isinstance(made_now, provisioners.File) and made_now.direction == "upload"
    return upload and not (generated and packer.as_bool(generated))


def _run(step: Step, machine: Machine) -> None:
    try:
        _made(step, _fields(machine)).provision(machine)
    except HarnessError as error:
        error.add_note(step.component.value.note(f"the provisioner {step.component.type}"))
        raise


def _clean_up(step: Step, machine: Machine, error: HarnessError) -> None:
    try:
        _run(step, machine)
    except HarnessError as another:
        error.add_note(f"and then the error-cleanup-provisioner failed: {another}")


def _made(step: Step, fields: Mapping[str, object]) -> Provisioner:
    component = step.component
    options = {
        name: packer.render(value, fields)
        for name, value in component.options.items()
        if name not in IDLE.get(component.type, ()) and value.data != ()
    }
    found: Provisioner = made(
        provisioners.TYPES[component.type],
        component,
        _joined(options),
        pause_before=step.pause_before,
        max_retries=step.max_retries,
        timeout=step.timeout or None,  # Packer's has none unless it says so
    )
    return found


def _joined(options: dict[str, Value]) -> dict[str, Value]:
    """Packer's two options for where a script lies, as one."""
    folder, file = (options.pop(name, None) for name in ("remote_folder", "remote_file"))
    if "remote_path" in options or not (folder or file):
        return options
    parts = [packer.as_text(v) if v else d for v, d in ((folder, "/tmp"), (file, "script"))]  # noqa: S108 - Packer's own
    place = folder or file
    assert place is not None
    return {**options, "remote_path": replace(place, data="/".join(parts))}


def _fields(machine: Machine) -> dict[str, object]:
    return {
        **OWN,
        "ID": machine.context.build,
        "User": machine.source.ssh_username,
        "ConnType": "ssh",
        "PackerRunUUID": machine.context.uuid,
    }


class _AnyField(dict[str, Any]):
    """Values for a look at options before there is a machine."""

    def __init__(self) -> None:
        super().__init__(OWN, ID="", User="", ConnType="ssh", PackerRunUUID="")
