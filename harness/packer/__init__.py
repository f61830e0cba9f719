"""Packer's JSON templates, read whole and turned into plans: plain frozen values.

Nothing here knows of sources, machines or pytest. A template is read once, gets the values of its
variables, and makes a plan for each of its builds::

    facts = packer.Facts(datetime.now(UTC), Path.cwd(), Path("build.json"), os.environ)
    template = packer.read(Path("build.json").read_bytes(), "build.json")
    template.variables          # what is declared, which defaults there are, what is sensitive
    template.warnings           # what is called otherwise today

    prepared = packer.prepare(template, {"region": "us-west-2"}, facts)
    prepared.builders           # by the names of builds
    plan = prepared.plan("amazon-ebs")

    packer.as_text(plan.builder.options["ami_name"])         # "web-1767323045"
    for step in plan.provisioners:
        step.component.type, step.component.options, step.max_retries

Options are `Value`: JSON that knows where it stands, so that whoever finds one wrong can say so
(``raise value.error("...")``; ``value.key_error`` points at its name). They are converted by what
they are for, by Packer's weak typing: `as_text`, `as_bool`, `as_int`, `as_float`, `as_duration`,
`as_list`, `as_mapping`. An option that is null is not set.

Texts with fields, such as ``{{.Path}}`` or {{build `Host`}}, are complete but for these: their
``data`` is a `DeferredText`, and `render` gives them their fields before they are converted::

    command = packer.render(options["execute_command"], {"Vars": "A=b", "Path": "/tmp/x.sh"})
    packer.as_text(command)

Everything that is wrong is a `harness.errors.TemplateError`, which shows the place. Where we differ
from Packer on purpose is listed in tests/packer/differences.py, each with its reason.
"""

from harness.packer.components import Builder, Component, PostProcessor, Provisioner
from harness.packer.expressions import DeferredText
from harness.packer.plan import (
    Plan,
    Prepared,
    Step,
    prepare,
    prepare_with,
    resolve_variables,
    selected,
)
from harness.packer.scope import VERSION, Facts, NoValue
from harness.packer.template import Template, read
from harness.packer.values import Value, refuse_unknown
from harness.packer.variables import Variable
from harness.packer.weak import (
    as_bool,
    as_duration,
    as_float,
    as_int,
    as_list,
    as_mapping,
    as_text,
    render,
)

__all__ = [
    "VERSION",
    "Builder",
    "Component",
    "DeferredText",
    "Facts",
    "NoValue",
    "Plan",
    "PostProcessor",
    "Prepared",
    "Provisioner",
    "Step",
    "Template",
    "Value",
    "Variable",
    "as_bool",
    "as_duration",
    "as_float",
    "as_int",
    "as_list",
    "as_mapping",
    "as_text",
    "prepare",
    "prepare_with",
    "read",
    "refuse_unknown",
    "render",
    "resolve_variables",
    "selected",
]
