"""`packer_template`: a Packer template as a build, with tests beside it as for any other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness import packer
from harness.definition import BuildDefinition, Origin, make_fixture
from harness.errors import ConfigurationError
from harness.follower import Follower
from harness.packer_builds.following import TemplateChain, names
from harness.packer_builds.plans import Plans
from harness.packer_builds.provisioning import provision
from harness.packer_builds.sources import TemplateSource
from harness.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.definition import BuildFixture
    from harness.given import Variables
    from harness.machine import Machine


def packer_template(
    file: str | Path,
    *,
    tests: Iterable[str] = (),
    sudo: bool | str = False,
    untested: bool = False,
    seal: Seal | bool = True,
) -> BuildFixture:
    """Make a build of a Packer template in JSON.

    Its builders are the build's sources, its provisioners provision the machine, its variables are
    variables (`harness.var`), and each of its post-processors follows the image. The name that it
    is assigned to is the build's. Tests stand beside it, and the image is taken only if all of
    them pass.

    ``--var-file`` and ``--var`` are Packer's ``-var-file`` and ``-var``; ``--only`` and
    ``--except`` choose builders by their names. Types are as weak as Packer's (``"true"``,
    ``"8"``, lists with commas). What is called otherwise today is told, with the new name. A
    builder, a provisioner or a post-processor that there is not fails the builds that need it,
    before they have a machine; the others run.

    It differs from Packer in this: a variable that is used and not declared, or has no value, is an
    error; files that it names start at its own folder, and what it writes at pytest's rootdir;
    names of builders have only what may be in the id of a test; a machine image is the base of
    ``qemu`` (``disk_image``), and nothing is installed from a CD; an image that is there is never
    replaced.

    Args:
        file: the template; a relative path starts at the module's folder.
        tests: see `build`.
        sudo: see `build`.
        untested: see `build`.
        seal: see `build`.

    Raises:
        TemplateError: it is no template; the message shows file, line, column and the place.
        ConfigurationError: the file cannot be read.

    Example:
        ```python
        web = harness.packer_template("build.json")

        def test_nginx_is_running(web: harness.Host) -> None:
            assert web.service("nginx").is_running
        ```
    """
    caller = sys._getframe(1)  # noqa: SLF001 - there is no other way to the caller
    module = Path(caller.f_code.co_filename).resolve()
    path = (module.parent / file).resolve()
    try:
        template = packer.read(path.read_bytes(), _shown(path))
    except OSError as error:
        raise ConfigurationError(f"packer_template({str(file)!r}): {error}") from None
    plans = Plans(template, path)

    def function(machine: Machine, variables: Variables) -> None:
        del variables  # taken, so that a missing one is told before anything is created
        provision(plans, machine)

    function.__doc__ = template.description
    definition = BuildDefinition(
        name="",  # that of what it is assigned to
        function=function,
        sources=tuple(TemplateSource.of(builder, plans) for builder in template.builders),
        origin=Origin(module, caller.f_lineno, caller.f_globals),
        directory=path.parent,
        files=(path,),
        provisioners={
            builder.name: tuple(
                step.type for step in template.provisioners if step.choice.includes(builder.name)
            )
            for builder in template.builders
        },
        warnings=template.warnings,
        untested=untested,
        sudo=sudo,
        tests=(tests,) if isinstance(tests, str) else tuple(tests),
        seal=Seal() if seal is True else seal,
        followers=[
            Follower(TemplateChain(name, plans, number))
            for number, name in enumerate(names(template))
        ],
    )
    return make_fixture(definition)


def _shown(path: Path) -> str:
    """As a person who is here would write it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
