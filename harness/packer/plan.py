"""Plans: what one builder's build is to do, with all values in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from harness.packer import expressions, variables, weak
from harness.packer.components import Builder, Component, PostProcessor, Provisioner
from harness.packer.expressions import DeferredText
from harness.packer.scope import NoValue, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from harness.packer.scope import Facts
    from harness.packer.template import Template
    from harness.packer.values import Value

_Kind = TypeVar("_Kind", bound=Component)


@dataclass(frozen=True)
class Step:
    """A provisioner of a plan, its override applied.

    ``pause_before`` and ``timeout`` are seconds, 0 for none.
    """

    component: Component
    pause_before: float = 0
    timeout: float = 0
    max_retries: int = 0


@dataclass(frozen=True)
class Plan:
    """What one builder's build is to do.

    Of each of the template's chains there are those post-processors that are for the build.
    All options are `Value`: convert them with `weak.as_text` and the like; null ones are not set.
    Texts with fields are still to be rendered (`weak.render`).
    """

    name: str
    builder: Component
    provisioners: tuple[Step, ...]
    error_cleanup: Step | None
    post_processors: tuple[tuple[PostProcessor, ...], ...]


@dataclass(frozen=True)
class Prepared:
    """A template whose variables have their values; ``builders`` are by the names of builds."""

    template: Template
    facts: Facts = field(repr=False)
    variables: Mapping[str, str | DeferredText | NoValue] = field(repr=False)
    builders: Mapping[str, Builder]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of sensitive variables, for what masks them; empty ones are none."""
        names = [v.name for v in self.template.variables.values() if v.sensitive]
        values = (self.variables[name] for name in names)
        return tuple(t for v in values if not isinstance(v, NoValue) and (t := str(v)))

    def plan(self, name: str, except_: Collection[str] = ()) -> Plan:
        """The plan of a build.

        Args:
            name: of the build, one of ``builders``.
            except_: the command line's ``--except``: a chain of post-processors ends before one
                that is called so.

        Raises:
            TemplateError: an expression in it is wrong.
            KeyError: there is no such build.
        """
        builder = self.builders[name]
        scope = Scope(self.facts, self.variables, name, builder.type)
        template = self.template
        return Plan(
            name,
            _resolved(builder, replace(scope, before_machine=True)),
            tuple(
                _step(provisioner, builder.name, scope)
                for provisioner in template.provisioners
                if provisioner.choice.includes(builder.name)
            ),
            _step(template.error_cleanup, builder.name, scope) if template.error_cleanup else None,
            tuple(
                tuple(_resolved(one, scope) for one in _links(chain, builder.name, except_))
                for chain in template.post_processors
            ),
        )


def prepare(template: Template, given: Mapping[str, str], facts: Facts) -> Prepared:
    """The template with the values of its variables.

    Args:
        template: as it was read.
        given: values of variables that win over defaults, already merged: Packer's ``-var`` beats
            every ``-var-file``, later files beat earlier ones. Names that the template does not
            declare are usable as well; whether that is a mistake is the caller's to say.
        facts: of the run.

    Raises:
        TemplateError: a variable has no value or a wrong one, or names of builds are wrong.
    """
    variables.refuse_missing(template.variables, given)
    return prepare_with(template, resolve_variables(template, given, facts), facts)


def resolve_variables(
    template: Template,
    given: Mapping[str, str],
    facts: Facts,
    ways: Callable[[str], str] = variables.ways,
) -> Mapping[str, str | DeferredText | NoValue]:
    """What variables come to; see `prepare`, and `ways` for how one is given, in messages.

    Raises:
        TemplateError: one has a wrong value. One that has none is an error where it is used.
    """
    return variables.resolve_all(template.file, template.variables, given, facts, ways)


def prepare_with(
    template: Template, values: Mapping[str, str | DeferredText | NoValue], facts: Facts
) -> Prepared:
    """The template with values that `resolve_variables` has found.

    Raises:
        TemplateError: names of builds are wrong.
    """
    scope = Scope(facts, values, before_machine=True)
    builders: dict[str, Builder] = {}
    for builder in template.builders:
        place = builder.value.entries().get("name", builder.value)
        name = expressions.resolve(builder.name, scope, place)
        if isinstance(name, DeferredText):
            raise place.error("the name of a builder cannot have fields: they are known too late")
        if name in builders:
            raise place.error(f"there is a build named {name!r} already; give it another name")
        builders[name] = builder
    return Prepared(template, facts, values, builders)


def selected(
    names: Collection[str], only: Collection[str] = (), except_: Collection[str] = ()
) -> list[str]:
    """The builds that Packer would run, in order: its ``-only`` and ``-except`` take whole names.

    Names that are not there choose nothing, as in Packer.
    """
    return [n for n in names if (not only or n in only) and n not in except_]


def _step(provisioner: Provisioner, builder: str, scope: Scope) -> Step:
    options = _overridden(provisioner.options, provisioner.override.get(builder, {}))
    component = _resolved(replace(provisioner, options=options), scope)
    return Step(
        component,
        provisioner.pause_before,
        provisioner.timeout,
        _retries(provisioner.max_retries, scope),
    )


def _overridden(options: Mapping[str, Value], override: Mapping[str, Value]) -> Mapping[str, Value]:
    """An override's options replace the others; objects are merged; null changes nothing."""
    found = dict(options)
    for name, value in override.items():
        if name == "type" or value.data is None:
            continue
        merged = found[name].entries() if name in found and value.entries() else {}
        found[name] = replace(value, data={**merged, **value.entries()}) if merged else value
    return found


def _retries(value: Value | None, scope: Scope) -> int:
    if value is None:
        return 0
    bare = replace(scope, build_name="", build_type="", before_machine=True)
    text = weak.as_text(expressions.resolve_value(value, bare))
    if text and not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004
        raise value.error("max_retries should be a whole number")
    return int(text or 0)


def _links(
    chain: Collection[PostProcessor], builder: str, except_: Collection[str]
) -> list[PostProcessor]:
    """A builder's links of a chain, which ends before one that the command line leaves out."""
    links = []
    for link in chain:
        if not link.choice.includes(builder):
            continue
        if link.name in except_:
            break
        links.append(link)
    return links


def _resolved(component: _Kind, scope: Scope) -> _Kind:
    options = {n: expressions.resolve_value(v, scope) for n, v in component.options.items()}
    return replace(component, options=options)
