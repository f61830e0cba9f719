"""JUnit's report, written by default: image quality is worth a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

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
