"""JUnit's report, written by default: image quality is worth a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _pytest.junitxml import xml_key

if TYPE_CHECKING:
    import pytest

    from harness.masking import Masker

DEFAULT_PATH = "reports/junit.xml"


def write_by_default(session: pytest.Session) -> None:
    """Let pytest's own plugin write `DEFAULT_PATH` unless the user named another file."""
    config = session.config
    junit = config.pluginmanager.getplugin("junitxml")
    if junit is None or config.option.xmlpath:
        return
    config.option.xmlpath = str(config.rootpath / DEFAULT_PATH)
    before = set(config.pluginmanager.get_plugins())
    # Its usual hooks, called late: only now is it known that this session runs builds.
    junit.pytest_configure(config)
    for added in set(config.pluginmanager.get_plugins()) - before:
        added.pytest_sessionstart()


_FOUND_BY = {"classname", "name", "file", "line"}


def mask_attributes(config: pytest.Config, masker: Masker) -> None:
    """Mask what ``record_xml_attribute`` was given by the test that runs, before it is rendered."""
    xml: Any = config.stash.get(xml_key, None)
    for reporter in xml.node_reporters.values() if xml else ():
        for name in reporter.attrs.keys() - _FOUND_BY:
            reporter.attrs[name] = masker.text(reporter.attrs[name])


def mask_properties(config: pytest.Config, masker: Masker) -> None:
    """Mask what ``record_testsuite_property`` was given."""
    if (xml := config.stash.get(xml_key, None)) is not None:
        properties = xml.global_properties
        properties[:] = [(masker.text(n), masker.text(value)) for n, value in properties]
