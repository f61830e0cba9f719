"""One pytest session's builds: what they share, and the way in and out."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from harness import cache, eviction, journal, reaper
from harness.cancel import CancelToken
from harness.definition import MACHINES, BuildDefinition, Machines
from harness.errors import HarnessError
from harness.events import Dispatcher, Notice
from harness.gate import Gate
from harness.journal import Journal
from harness.lifecycle import BuildRun
from harness.plugin import attaching, imports, options, selection, variables, worker
from harness.plugin.items import RUN, NoMachine, StageItem, skip_if_up_to_date
from harness.plugin.progress import Turns
from harness.plugin.results import Results
from harness.plugin.summary import Summary
from harness.plugin.words import Words
from harness.reports import log, manifest, terminal
from harness.scheduler import Scheduler
from harness.secret import secrets_in
from harness.shared import Shared
from harness.sources.base import Context
from harness.units import human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from harness.assertions import Host
    from harness.events import Event
    from harness.kept import Kept
    from harness.plugin.collection import CollectedBuild
    from harness.secret import Secret

    Reader = Callable[[Event], None]


class BuildSession:
    """The runs of a session's selected builds; a context that leaves nothing behind."""

    def __init__(
        self,
        config: pytest.Config,
        builds: list[CollectedBuild],
        one_of_several: worker.Worker | None = None,
        scratch: Path | None = None,
    ) -> None:
        """Know the builds; nothing of them is begun.

        Args:
            config: pytest's.
            builds: the selected ones.
            one_of_several: where workers share the builds, this one of them.
            scratch: a folder for notes, where the builds are only looked at (`problems`).
        """
        self.config = config
        self._worker = one_of_several
        if scratch is None:
            _require_folders(config)
        attached = {b.name: attaching.attached(config, b) for b in builds}
        self.identity = worker.run(config)
        self.cancel = CancelToken()
        self.events = Dispatcher()
        self._terminal = terminal.Terminal(config)
        name = f"{self.identity.id}{worker.suffix(config)}.jsonl"
        self.journal = Journal((scratch or journal.directory()) / name)
        self._while_open = contextlib.ExitStack()
        self._known_names = selection.known_names(config)
        self._values_told = {b.name: b.values_told for b in builds}
        self._shared = Shared()
        self._beside = {b.name: [*_secrets_beside(b)] for b in builds}
        self.runs = {b.name: self._run(b, attached[b.name]) for b in builds}
        self._bound = options.bound(config)
        self.scheduler = Scheduler(list(self.runs.values()), self.cancel, self._bound)

    def __enter__(self) -> Self:
        readers: list[Reader] = [
            log.Logs(self.config.rootpath),
            self._manifest(),
            self._terminal,
        ]
        if self._worker is not None:
            readers.append(self._worker)
        for reader in readers:
            self.events.subscribe(reader)
        try:
            self._refuse_problems()
            if self._worker is not None:
                self._worker.wait_for_the_others(list(self.runs))
        except BaseException:
            self.journal.close()
            raise
        machines: Machines = self
        self.config.stash[MACHINES] = machines
        self.config.pluginmanager.register(Results(self.runs, self.events.masker))
        self.config.pluginmanager.register(Turns(self._terminal))
        self._while_open.enter_context(self._terminal)
        words = Words(self.config, self.events.masker)
        self.config.pluginmanager.register(words)
        self._while_open.enter_context(words)
        if self._worker is None:
            self.config.pluginmanager.register(Summary(self.config.rootpath, self.identity.id))
        else:
            for run in self.runs.values():
                run.announce()
        for line in (
            *variables.warnings(self.config),
            *self._warnings(),
            *reaper.reap(journal.directory()),
        ):
            self.events.emit(Notice("", line))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._while_open:
            self.scheduler.close()
            self.journal.close()
            self._prune_cache()

    def host(self, build: str, definition: BuildDefinition) -> Host:
        """What the build's fixture is in tests."""
        run = self.runs.get(build)
        if run is None or run.definition is not definition:
            raise NoMachine(f"not run: {build} could not be collected")
        skip_if_up_to_date(run)
        if isinstance(run.error, pytest.skip.Exception):
            raise run.error
        if run.host is None:
            raise NoMachine(f"not run: {run.name} was not provisioned")
        if run.error is not None:
            raise NoMachine(f"not run: {run.name} was not sealed")
        return run.host

    def adopt(self, items: list[pytest.Item]) -> None:
        """Give each stage item its run; what it reports has happened and cannot be run again."""
        reruns = self.config.pluginmanager.hasplugin("rerunfailures")
        for item in items:
            if isinstance(item, StageItem):
                item.stash[RUN] = self.runs[item.build]
                if reruns:
                    item.add_marker(pytest.mark.flaky(reruns=0))

    def tell_who_waits(self) -> None:
        """Say that not all builds run at once, and why."""
        if waiting := len(self.scheduler.waiting):
            text = f"{waiting} of {len(self.runs)} builds wait for others to end: {self._bound}"
            self.events.emit(Notice("", text))

    def _run(self, build: CollectedBuild, attached: Kept | None) -> BuildRun:
        context = Context(
            build=build.name,
            run_id=self.identity.id,
            started=self.identity.started,
            root=self.config.rootpath,
            directory=build.definition.directory,
            journal=self.journal,
            cancel=self.cancel,
            events=self.events,
            cold=self.config.getoption("cold"),
            image_age=options.image_age(self.config),
            code_digest=_code_digest(build, self.config.rootpath),
            checkpoint_age=options.checkpoint_age(self.config),
            uuid=self.identity.uuid,
            git_sha=self.identity.git_sha,
            variables=build.variables,
            known_names=self._known_names,
            shared=self._shared,
        )
        whole = f"{build.file.nodeid}::{build.definition.name}"
        gate = Gate(build.tests, untested=build.definition.untested, whole=whole)
        hold = bool(self.config.getoption("usepdb", default=False))
        return BuildRun(
            build.definition,
            build.source,
            gate,
            context,
            hold_on_failure=hold,
            keep_on_failure=attaching.keeps(self.config),
            attached=attached,
        )

    def _warnings(self) -> Iterator[str]:
        """What builds have to say of themselves; of several workers one says it."""
        if worker.number(self.config) == 0:
            runs = self.runs.values()
            told = [w for run in runs for w in (*run.definition.warnings, run.source.lacking())]
            yield from (f"warning: {text}" for text in dict.fromkeys(told) if text)

    def _manifest(self) -> manifest.Manifest:
        # When a worker is killed the controller tells what it has written.
        at_once = self._worker is not None
        return manifest.Manifest(
            self.config.rootpath, self.identity.id, self.identity.started, at_once=at_once
        )

    def _prune_cache(self) -> None:
        """Now, when nothing of it is in use by this run any more."""
        bound = self.config.stash[options.SETTINGS].cache_size
        try:
            for entry in eviction.prune(bound):
                text = f"removed from the cache, which may have {human(bound)}: {entry}"
                self.events.emit(Notice("", f"{text}, {human(entry.size)}"))
        except OSError as error:
            self.events.emit(Notice("", f"the cache cannot be pruned: {error}"))

    def _refuse_problems(self) -> None:
        if problems := self.problems():
            raise pytest.UsageError(*problems)

    def problems(self) -> list[str]:
        """What the sources find wrong, a sentence each; they create nothing for that."""
        problems = []
        for run in self.runs.values():
            run.hide_secrets()
            for name, secret in self._beside[run.name]:
                run.context.hide(name, secret)
        for run in self.runs.values():
            try:
                run.source.validate(run.context)
            except HarnessError as error:
                text = f"{run.name}: {error}{self._values_told[run.name]}"
                problems.append(self.events.masker.text(text))
        return problems


def _code_digest(build: CollectedBuild, root: Path) -> str:
    """Of its own code and that of its tests, and of what its decorator was given."""
    given = (build.definition.seal, build.definition.sudo, build.definition.untested)
    return f"{imports.digest(_modules(build), root)} {given!r}"


def _secrets_beside(build: CollectedBuild) -> Iterator[tuple[str, Secret]]:
    """What is secret in the modules of the checks that it shares, and in conftest.py files."""
    plugins = build.file.config.pluginmanager.get_plugins()
    names = {path.resolve() for path in _modules(build)}
    loaded = {id(m): m for m in (*plugins, *build.loaded)}
    for module in loaded.values():
        file = Path(getattr(module, "__file__", None) or "")
        if file.resolve() in names:
            yield from secrets_in(file.name, vars(module))


def _modules(build: CollectedBuild) -> list[Path]:
    """The modules with the build's own code, its tests and their fixtures."""
    manager = build.file.config.pluginmanager
    plugins = [Path(f) for p in manager.get_plugins() if (f := getattr(p, "__file__", None))]
    here = [
        path
        for path in plugins
        if path.name != "conftest.py" or build.file.path.is_relative_to(path.parent)
    ]
    return [build.definition.file, *build.definition.files, build.file.path, *build.modules, *here]


def _require_folders(config: pytest.Config) -> None:
    """Refuse to begin where nothing could be written down.

    Raises:
        UsageError: it names the folder, and the way out.
    """
    ways = {
        config.rootpath / manifest.PATH: "reports go there; --rootdir names another place",
        journal.directory() / "any": "what a run makes is noted there; set XDG_STATE_HOME",
        cache.directory() / "any": "bases and machines are kept there; set XDG_CACHE_HOME",
    }
    for path, way_out in ways.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise pytest.UsageError(
                f"{path.parent} cannot be written to ({error.strerror}): {way_out}"
            ) from None
