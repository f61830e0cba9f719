"""What builds print, log and warn in their threads: theirs, and nothing that pytest ever sees.

pytest captures for the whole process, so it would show in whichever test runs meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from harness import said

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from harness.masking import Masker


class Words:
    """Registered, and a context, while builds run: sends each thread's words where they belong."""

    def __init__(self, config: pytest.Config, masker: Masker) -> None:
        self._config = config
        self._masker = masker
        self._routed: contextlib.ExitStack = contextlib.ExitStack()
        self._debugging = False

    def __enter__(self) -> None:
        with contextlib.ExitStack() as stack:
            self._routed = stack
            self._route_streams()
            stack.enter_context(_logging_routed(self._config))
            stack.enter_context(_logging_masked(self._config, self._masker))
            stack.enter_context(_warnings_routed())
            self._routed = stack.pop_all()

    def __exit__(self, *_: object) -> None:
        self._routed.close()

    # pytest, and fixtures such as capsys, put streams of their own in the place of others.

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self) -> Generator[None]:
        self._route_streams()
        return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None]:
        self._route_streams()
        return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        self._route_streams()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        result = yield
        self._route_streams()
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Before it stands in pytest's summary: a test's warning may tell a secret."""
        text = str(warning_message.message)
        if (masked := self._masker.text(text)) != text:
            warning_message.message = masked

    def pytest_enter_pdb(self) -> None:
        """Even in a build it talks to a person."""
        self._debugging = True

    def pytest_leave_pdb(self) -> None:
        self._debugging = False

    def _route_streams(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if not isinstance(getattr(stream, "write", None), _Write):
                self._route(stream)

    def _route(self, stream: Any) -> None:
        with contextlib.suppress(AttributeError):  # of a kind whose methods are as they are
            stream.write = _Write(stream.write, lambda: self._debugging)
            self._routed.callback(_unroute, stream)


class _Write:
    """A stream's method, for the threads that are no build's."""

    def __init__(self, write: Callable[[str], int], is_off: Callable[[], bool]) -> None:
        self.write = write
        self._is_off = is_off

    def __call__(self, text: str) -> int:
        listener = said.listener()
        if listener is None or self._is_off():
            return self.write(text)
        listener(text)
        return len(text)


def _unroute(stream: Any) -> None:
    stream.write = stream.write.write


class _Handler(logging.Handler):
    """Gives a build's records to the build."""

    def emit(self, record: logging.LogRecord) -> None:
        if listener := said.listener():
            listener(f"{self.format(record)}\n")


def _is_nobodys(record: logging.LogRecord) -> bool:
    del record
    return said.listener() is None


@contextlib.contextmanager
def _logging_routed(config: pytest.Config) -> Iterator[None]:
    root, handler = logging.getLogger(), _Handler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    plugin = config.pluginmanager.getplugin("logging-plugin")
    names = ("caplog_handler", "report_handler", "log_cli_handler")
    pytests = [getattr(plugin, name) for name in names] if plugin else []
    root.addHandler(handler)
    for theirs in pytests:
        theirs.addFilter(_is_nobodys)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for theirs in pytests:
            theirs.removeFilter(_is_nobodys)


class _MaskedFormatter(logging.Formatter):
    """Another one's lines, without secrets."""

    def __init__(self, formatter: logging.Formatter | None, masker: Masker) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()
        self._masker = masker

    def format(self, record: logging.LogRecord) -> str:
        return self._masker.text(self._formatter.format(record))


@contextlib.contextmanager
def _logging_masked(config: pytest.Config, masker: Masker) -> Iterator[None]:
    """What pytest itself shows and writes of tests' records: ``log_cli``, ``--log-file``."""
    plugin = config.pluginmanager.getplugin("logging-plugin")
    names = ("log_cli_handler", "log_file_handler")
    before = [(handler := getattr(plugin, n), handler.formatter) for n in names] if plugin else []
    for handler, formatter in before:
        handler.setFormatter(_MaskedFormatter(formatter, masker))
    try:
        yield
    finally:
        for handler, formatter in before:
            handler.setFormatter(formatter)


@contextlib.contextmanager
def _warnings_routed() -> Iterator[None]:
    """A build's warnings are told and no more, whatever the filters of the test that runs."""
    warn, warn_explicit = warnings.warn, warnings.warn_explicit

    def warn_here(
        message: Warning | str,
        category: type[Warning] | None = None,
        stacklevel: int = 1,
        source: object = None,
        **options: Any,
    ) -> None:
        if listener := said.listener():
            listener(_warning(message, category, *_place(stacklevel)))
        else:
            warn(message, category, stacklevel + 1, source, **options)

    def warn_explicit_here(
        message: Warning | str,
        category: type[Warning] | None,
        filename: str,
        lineno: int,
        *arguments: Any,
        **options: Any,
    ) -> None:
        if listener := said.listener():
            listener(_warning(message, category, filename, lineno))
        else:
            warn_explicit(message, category, filename, lineno, *arguments, **options)  # type: ignore[arg-type]  # its first argument decides about the second

    vars(warnings).update(warn=warn_here, warn_explicit=warn_explicit_here)
    try:
        yield
    finally:
        vars(warnings).update(warn=warn, warn_explicit=warn_explicit)


def _place(stacklevel: int) -> tuple[str, int]:
    """The caller of `warnings.warn`, or whom it means."""
    frame = sys._getframe(2)  # noqa: SLF001 - there is no other way to the caller
    for _ in range(stacklevel - 1):
        frame = frame.f_back or frame
    return frame.f_code.co_filename, frame.f_lineno


def _warning(
    message: Warning | str, category: type[Warning] | None, filename: str, line: int
) -> str:
    kind = type(message) if isinstance(message, Warning) else category or UserWarning
    return warnings.formatwarning(str(message), kind, filename, line)
