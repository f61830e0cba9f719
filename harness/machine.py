"""The machine that a build function gets: the provisioning calls."""

from __future__ import annotations

import contextlib
import functools
import re
import shlex
from typing import TYPE_CHECKING, TypeVar

from harness import cache as caches
from harness import duration, kept, patterns, retry, transfer, users
from harness import script as scripts
from harness.calls import provisioning
from harness.errors import ConfigurationError, HarnessError
from harness.events import Output
from harness.kept import Kept
from harness.local_call import LocalCall
from harness.model import Resource
from harness.progress import Reporter
from harness.reboot import Lifeline
from harness.remote_script import Leftovers
from harness.secret import MASK, Secret
from harness.shell_call import ShellCall, commands_or_script, exit_codes
from harness.sources.base import LOCAL_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.chain import Chain
    from harness.model import CommandResult
    from harness.provisioners.base import Provisioner
    from harness.sources.base import Commands, Connection, Context, Instance, Source
    from harness.stopwatch import Stopwatch

DEFAULT_TIMEOUT = 3600.0
"""Seconds that a provisioning call may take unless it says otherwise."""
REBOOT_TIMEOUT = 600.0
"""Seconds in which a machine that reboots must be back unless the call says otherwise."""

T = TypeVar("T")


class Machine:
    """A booted instance with a connection.

    Every ``timeout=`` is a number of seconds, or a text such as ``"90s"`` and ``"1h30m"``.
    What has no ``timeout=`` has a deadline too: cloud-init 600 s after the first login and after a
    reboot, a later login 60 s, a command of a test (``host.run``) 300 s, the seal 3600 s. The first
    login has the source's ``ssh_timeout``.

    ``sudo=`` means the same in every call: True is root, a name is that user, and nothing changes
    for somebody who is that user already. It needs sudo on the machine, without a password.
    Values of ``env=`` may be a `harness.Secret`: they are masked in all that the run shows, and
    stand in no process list and, once the call is over, in no file.

    Example:
        ```python
        @harness.build(harness.Qemu(base="debian-12"))
        def web(machine: harness.Machine) -> None:
            machine.put("site/", "/var/www/html")
            machine.shell("apt-get update", "apt-get install -y nginx", sudo=True)
        ```

    Attributes:
        id: the instance's own id, never used twice.
        source: the source it comes from; ``machine.source.type`` tells clouds apart.
        params: the source's ``params``.
        context: the build's name, folders, events and cancel token, for provisioners.
    """

    def __init__(
        self,
        source: Source,
        context: Context,
        chain: Chain,
        instance: Instance | None = None,
        connection: Connection | None = None,
    ) -> None:
        """Without an instance and its connection all that there is of it is its chain's record."""
        self.source = source
        self.params = source.params
        self.context = context
        self.chain = chain
        self._instance = instance
        self._connection = connection
        self._leftovers = Leftovers()

    @property
    def id(self) -> str:
        return self._there("machine.id was read").id

    @property
    def instance(self) -> Instance:
        """The instance as its source knows it; what is done with it ends the chain's record."""
        self.chain.close("machine.instance was used")
        return self._there("")

    @property
    def connection(self) -> Connection:
        """The login itself; what is done with it ends the chain's record."""
        self.chain.close("machine.connection was used")
        return self._login

    @property
    def folder(self) -> Path:
        """Where relative paths of local files start: the folder of the build's file."""
        return self.context.directory

    @property
    def stopwatch(self) -> Stopwatch:
        return self.context.stopwatch

    def __repr__(self) -> str:
        return f"<Machine {self.context.build} {self.id}>"

    @provisioning("commands", "script", files=("script",))
    def shell(
        self,
        *commands: str,
        script: str | Path | None = None,
        env: Mapping[str, str | Secret] | None = None,
        sudo: bool | str = False,
        cwd: str | None = None,
        timeout: float | str | None = DEFAULT_TIMEOUT,
        valid_exit_codes: Collection[int] = (0,),
        expect_disconnect: bool = False,
        pause_before: float | str = 0,
        retries: int = 0,
        cache: bool = True,
    ) -> CommandResult:
        """Run commands, or a local script file, on the machine.

        The commands of one call are one `/bin/sh -e` script: variables and `cd` carry over, the
        first that fails ends it. A script file is run by its ``#!`` line, else by `/bin/sh -e`.
        Standard input is empty.

        Args:
            commands: shell commands, in order.
            script: instead of commands, a local file; a relative path starts at the build's file.
            env: environment variables to set, under sudo too.
            sudo: run as root, or as the user of that name.
            cwd: the directory to start in; default: the user's home.
            timeout: seconds until everything the call started is killed; default 3600, None: never.
            valid_exit_codes: what counts as success; default 0 alone.
            expect_disconnect: the commands may cut the connection or reboot the machine; the call
                returns when it can be used again. It gives the connection 10 seconds to go, and a
                machine that went 600 to come back.
            pause_before: seconds to wait before the first attempt; default 0.
            retries: how often to try again what failed or ran into its timeout, after 1, 2, 4, 8,
                16 and then each time 30 seconds; default 0. The last error counts.
            cache: False: run in every run, and so all that follows; default True: a local machine
                may be resumed from a checkpoint behind it.

        Returns:
            What the script printed, with its exit status; that is -1 where it had none because
            the connection went, as expected.

        Raises:
            CommandError: it failed; names the failing command and shows the end of its output.
            CommandTimeoutError: the timeout has passed.
            DisconnectedError: the connection went away, which was not expected.
            RebootError: the machine did not come back.
            ConfigurationError: neither commands nor a script, or both; a bad name in ``env``.

        Example:
            `machine.shell("apt-get update", sudo=True, retries=3)`
        """
        del cache  # the decorator's
        commands_or_script("machine.shell", commands, script)
        path = None if script is None else self.context.directory / script
        codes = exit_codes("machine.shell", valid_exit_codes)
        seconds, pause = _seconds(timeout), duration.seconds("pause_before", pause_before)
        call = ShellCall(commands, path, self._env(env), cwd, seconds, codes, expect_disconnect)
        self.context.cancel.sleep(pause)

        def attempt() -> CommandResult:
            with self._output() as take:
                return call.run(self._as(sudo), self._lifeline, self._leftovers, take)

        return self.retry(attempt, retries)

    @provisioning("command")
    def run(
        self,
        command: str,
        *args: str | Secret,
        env: Mapping[str, str | Secret] | None = None,
        sudo: bool | str = False,
        timeout: float | str | None = DEFAULT_TIMEOUT,
        cache: bool = True,
    ) -> CommandResult:
        """Run one command and return what it answered, whatever its exit status.

        Args:
            command: for /bin/sh. With ``args`` each ``%s`` in it is replaced by the next of
                them, and ``%%`` is a percent sign.
            args: quoted, so that no value can be taken for shell syntax. A `harness.Secret` is
                masked in all that the run shows; but the machine's process list has what is given
                to a program, so rather give that in ``env``, where the program can read it there.
            env: environment variables to set, under sudo too.
            sudo: run as root, or as the user of that name.
            timeout: seconds until it is killed; default 3600, None: never.
            cache: as for `shell`.

        Example:
            `machine.run("ls -l -- %s", path).stdout`

        Raises:
            CommandTimeoutError: the timeout has passed.
            CommandError: sudo refused; whatever the command itself answers is no error.
            DisconnectedError: the connection went away.
            ConfigurationError: there are more or fewer ``%s`` than ``args``.
        """
        del cache  # the decorator's
        revealed = [self.context.reveal(f"an argument of {command!r}", arg) for arg in args]
        quoted = _filled(command, revealed) if args else command
        shown = [MASK if isinstance(arg, Secret) else arg for arg in args]
        title = _filled(command, shown) if args else command
        text = "\n".join([*scripts.prelude(self._env(env), None), quoted])
        with self._output() as take:
            self.tell(f"$ {title}")
            return self._as(sudo).run(title, text=text, timeout=_seconds(timeout), on_output=take)

    @provisioning("local", files=("local",))
    def put(
        self,
        local: str | Path,
        remote: str,
        *,
        sudo: bool | str = False,
        timeout: float | str | None = DEFAULT_TIMEOUT,
    ) -> None:
        """Copy a local file or folder to the machine.

        As with rsync: a folder ``site`` goes to ``remote/site``, ``site/`` (with the slash) means
        its contents. A file goes into ``remote`` if that ends in a slash or is a directory, else
        takes that name. Missing directories are made; modes and symbolic links are kept.

        Args:
            local: a relative path starts at the build's file.
            remote: a path on the machine.
            sudo: write as root, or as the user of that name.
            timeout: seconds until it is given up; default 3600, None: never.

        Raises:
            TransferError: the local path does not exist, or the machine refused.
            CommandTimeoutError: the timeout has passed.
        """
        self.tell(f"$ put {local} {remote}")
        transfer.put(
            self._as(sudo),
            str(local),
            remote,
            base=self.context.directory,
            timeout=_seconds(timeout),
            progress=self._progress(f"put {local} to {remote}"),
        )

    @provisioning("remote")
    def write(
        self,
        content: str | bytes | Secret,
        remote: str,
        *,
        mode: int = 0o644,
        sudo: bool | str = False,
        timeout: float | str | None = DEFAULT_TIMEOUT,
    ) -> None:
        """Write text or bytes to a file on the machine, whole or not at all.

        Args:
            content: text goes as UTF-8; a `harness.Secret` is masked in all that the run shows.
            remote: the file's path on the machine; missing directories are made.
            mode: the file's permissions; default 0644.
            sudo: write as root, or as the user of that name.
            timeout: seconds until it is given up; default 3600, None: never.

        Raises:
            TransferError: the machine refused.
            CommandTimeoutError: the timeout has passed.
        """
        given = self.context.reveal(remote, content) if isinstance(content, Secret) else content
        data = given.encode() if isinstance(given, str) else given
        self.tell(f"$ write {len(data)} bytes to {remote}")
        transfer.put_content(self._as(sudo), data, remote, mode=mode, timeout=_seconds(timeout))

    @provisioning("remote", fetches=True)
    def get(
        self,
        remote: str,
        local: str | Path,
        *,
        sudo: bool | str = False,
        timeout: float | str | None = DEFAULT_TIMEOUT,
    ) -> None:
        """Copy a file or folder from the machine; rules and arguments are those of `put`.

        Raises:
            TransferError: the remote path does not exist, or cannot be written here.
            CommandTimeoutError: the timeout has passed.
        """
        self.tell(f"$ get {remote} {local}")
        transfer.get(
            self.chain.streamer(lambda: self._as(sudo)),
            remote,
            str(local),
            base=self.context.directory,
            timeout=_seconds(timeout),
            progress=self._progress(f"get {remote} to {local}"),
        )

    @functools.cached_property
    def ssh_config(self) -> Path:
        """A file with which any tool reaches the machine, as the host ``default``.

        It names the key, the host key that the machine must show, and the way there. It and what
        belongs to it are private, and are gone when the machine is. Where the login is by a
        password, the tool has to ask for it.

        Example:
            `machine.local(f"rsync -a -e 'ssh -F {machine.ssh_config}' site/ default:/srv/site")`
        """
        self.chain.close("machine.ssh_config was used")
        name = f"{self.context.run_id}-{self.context.build}.ssh"
        folder = caches.directory() / "machines" / name
        resource = Resource(LOCAL_FOLDER, str(folder), self.source.type, self.context.build)
        self.context.journal.intend(resource)
        folder.mkdir(parents=True, mode=0o700)
        return self._login.ssh_config(folder)

    @provisioning()
    def reboot(self, *, timeout: float | str = REBOOT_TIMEOUT) -> None:
        """Reboot the machine, as root, and wait until it is back.

        Its boot id proves that it went and came back; the connection works afterwards.

        Args:
            timeout: seconds from the command until the machine can be used again; default 600.

        Raises:
            RebootError: it did not come back in time, or did not even go.
            CommandError: it refuses to reboot.
            ConfigurationError: it is no Linux, and has no boot id.
        """
        self.tell("$ reboot")
        seconds = duration.seconds("timeout", timeout)
        self._lifeline.reboot(self._as(True), seconds)

    @provisioning("commands", "script", files=("script",), here=True)
    def local(
        self,
        *commands: str,
        script: str | Path | None = None,
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | Path = ".",
        timeout: float | str | None = DEFAULT_TIMEOUT,
        valid_exit_codes: Collection[int] = (0,),
    ) -> CommandResult:
        """Run commands, or a script file, on this computer.

        As with `shell`, the commands of one call are one `/bin/sh -e` script, and a script file is
        run by its ``#!`` line. The output goes to the build's log.

        Args:
            commands: shell commands, in order.
            script: instead of commands, a file; a relative path starts at the build's file.
            env: environment variables to set beside this process's.
            cwd: where to start; a relative path starts at the folder of the build's file, and that
                is the default.
            timeout: seconds until everything the call started is ended, 2 s after SIGINT at the
                latest; default 3600, None: never.
            valid_exit_codes: what counts as success; default 0 alone.

        Returns:
            What the script printed, with its exit status.

        Raises:
            CommandError: it failed; names the failing command and shows the end of its output.
            CommandTimeoutError: the timeout has passed.
            ConfigurationError: neither commands nor a script, or both; no such folder.
        """
        commands_or_script("machine.local", commands, script)
        here = self.context.directory
        path = None if script is None else here / script
        codes = exit_codes("machine.local", valid_exit_codes)
        call = LocalCall(commands, path, self._env(env), here / cwd, _seconds(timeout), codes)
        with self._output() as take:
            return call.run(self.context, take)

    def only(self, *builds: str) -> bool:
        """Whether this is the machine of one of these builds.

        Args:
            builds: globs, as for ``--only``: over the build's name (``web.qemu``), its function,
                its source's name or type.

        Raises:
            ConfigurationError: one of them fits nothing there is, among the builds collected and
                the types of source.

        Example:
            ```python
            if machine.only("amazon-*"):
                machine.shell("systemctl enable --now amazon-ssm-agent", sudo=True)
            ```
        """
        patterns.check("machine.only", builds, self.context.known_names)
        return patterns.match(builds, patterns.names(self.context.build, self.source.type))

    def provision(self, *provisioners: Provisioner) -> None:
        """Run provisioners that are data, in order.

        Example:
            `machine.provision(Shell(inline=["id"]), File(source="site", destination="/srv"))`

        Raises:
            HarnessError: what the provisioner's call raises.
        """
        for provisioner in provisioners:
            provisioner.provision(self)

    @provisioning("path")
    def discard(self, path: str) -> None:
        """Remove a file of ours, at once or when the connection is back; for provisioners."""
        self._leftovers.remove(self._login, shlex.quote(path))

    @provisioning("seconds")
    def pause(self, seconds: float | str) -> None:
        """Wait; a run that resumes a checkpoint does not wait again.

        Args:
            seconds: a number, or a text such as ``"10s"``.
        """
        self.context.cancel.sleep(duration.seconds("seconds", seconds))

    def retry(self, attempt: Callable[[], T], retries: int) -> T:
        """Try a step of your own again where it fails, as ``retries`` of `shell` does.

        Example:
            `machine.retry(lambda: machine.put("large/", "/srv"), 3)`

        Raises:
            HarnessError: the last error.
        """

        def connected() -> T:
            if retries and self.chain.has_machine:
                self._lifeline.restore()
            return attempt()

        return retry.persist(connected, retries, self.context.cancel, self.tell)

    def tell(self, text: str) -> None:
        """Write a line to the build's log."""
        if self.chain.has_machine:
            self.context.events.emit(Output(self.context.build, "command", f"{text}\n".encode()))

    def hide(self, *secrets: str | Secret) -> None:
        """Mask texts in all that the run shows from now on; see `harness.Secret`.

        For what the run does not know to be secret, such as what your own code came by.

        Example:
            `machine.hide(token := vault.read("token"))`
        """
        for secret in secrets:
            known = secret if isinstance(secret, Secret) else Secret(secret)
            self.context.hide("what machine.hide was given", known)

    def keep(self, *, sealed: bool) -> Kept:
        """Let it run on when this run is over, and hang up; not for build functions."""
        context, instance = self.context, self._there("")
        if sealed:
            self.source.reopen(instance, self._login, context)
        keeping = Kept(
            build=context.build,
            root=str(context.root),
            run_id=context.run_id,
            machine_id=instance.id,
            options=self.source.options(),
            record=self.source.keep(instance, context),
            resources=context.journal.outstanding(context.build),
            calls=[call.as_dict() for call in self.chain.calls],
        )
        keeping.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._login.ssh_config(keeping.folder)
        kept.note(keeping, context.journal)
        self._login.close()
        return keeping

    def _env(self, env: Mapping[str, str | Secret] | None) -> dict[str, str]:
        return {k: self.context.reveal(f"{k} in env", v) for k, v in (env or {}).items()}

    @contextlib.contextmanager
    def _output(self) -> Iterator[Callable[[str, bytes], None]]:
        """What takes a call's output; whatever else goes wrong in it says no secret either."""
        masker = self.context.events.masker
        try:
            with self.context.events.output(self.context.build) as take:
                yield take
        except HarnessError as error:
            error.args = tuple(masker.value(each) for each in error.args)
            raise

    @functools.cached_property
    def _lifeline(self) -> Lifeline:
        revive = functools.partial(self.source.revive, self._there(""), self.context)
        return Lifeline(self._login, revive, self.context)

    @property
    def _login(self) -> Connection:
        assert self._connection is not None  # `_there` has been asked
        return self._connection

    def _there(self, needed: str) -> Instance:
        """The instance; without one its chain has to go on with one first."""
        self.chain.require_machine(needed)
        assert self._instance is not None
        return self._instance

    def _progress(self, what: str) -> Reporter:
        return Reporter(self.context.events, self.context.build, what)

    def _as(self, wanted: bool | str) -> Commands:
        self._leftovers.settle()
        return users.commands(self._login, wanted, self.source.ssh_username)


def _seconds(timeout: float | str | None) -> float | None:
    return None if timeout is None else duration.seconds("timeout", timeout)


def _filled(command: str, args: Sequence[object]) -> str:
    places = re.findall("%%|%s", command).count("%s")
    if places != len(args):
        raise ConfigurationError(
            f"machine.run({command!r}, ...) has {places} times %s for {len(args)} arguments: "
            'write one for each, as in machine.run("ls -- %s", path)'
        )
    values = iter(args)
    return re.sub(
        "%%|%s", lambda m: "%" if m[0] == "%%" else shlex.quote(str(next(values))), command
    )
