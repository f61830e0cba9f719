"""The machine that a build function gets: the provisioning calls."""

from __future__ import annotations

import contextlib
import functools
import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from harness import cache, transfer
from harness import script as scripts
from harness.errors import CommandError, ConfigurationError, HarnessError
from harness.events import Output
from harness.model import Resource
from harness.sources.base import LOCAL_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import CommandResult
    from harness.script import Script
    from harness.sources.base import Connection, Context, Source

DEFAULT_TIMEOUT = 3600.0
"""Seconds that a provisioning call may take unless it says otherwise."""


class Machine:
    """A booted instance with a connection.

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
    """

    def __init__(
        self,
        id: str,
        source: Source,
        connection: Connection,
        context: Context,
    ) -> None:
        self.id = id
        self.source = source
        self.connection = connection
        self._context = context

    def __repr__(self) -> str:
        return f"<Machine {self._context.build} {self.id}>"

    def shell(
        self,
        *commands: str,
        script: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        sudo: bool = False,
        cwd: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> CommandResult:
        """Run commands, or a local script file, on the machine.

        The commands of one call are one `/bin/sh -e` script: variables and `cd` carry over, the
        first that fails ends it. A script file is run by its ``#!`` line, else by `/bin/sh -e`.
        Standard input is empty.

        Args:
            commands: shell commands, in order.
            script: instead of commands, a local file; a relative path starts at the build's file.
            env: environment variables to set.
            sudo: run as root; nothing changes for a user who is root.
            cwd: the directory to start in; default: the user's home.
            timeout: seconds until everything the call started is killed; default 3600, None: never.

        Returns:
            What the script printed, with exit status 0.

        Raises:
            CommandError: it failed; names the failing command and shows the end of its output.
            CommandTimeoutError: the timeout has passed.
            ConfigurationError: neither commands nor a script, or both; a bad name in ``env``.
        """
        if bool(commands) == (script is not None):
            raise ConfigurationError(
                "machine.shell takes commands, or script=: "
                + ("both are given" if commands else "neither is given")
            )
        if script is None:
            return self._execute(scripts.of_commands(commands, env, cwd), sudo, timeout)
        return self._execute_file(Path(script), env, cwd, sudo, timeout)

    def run(
        self, command: str, *args: str, timeout: float | None = DEFAULT_TIMEOUT
    ) -> CommandResult:
        """Run one command and return what it answered, whatever its exit status.

        Args:
            command: for /bin/sh; each ``%s`` in it is replaced by the next of ``args``.
            args: quoted, so that no value can be taken for shell syntax.
            timeout: seconds until it is killed; default 3600, None: never.

        Example:
            `machine.run("ls -l -- %s", path).stdout`

        Raises:
            CommandTimeoutError: the timeout has passed.
        """
        quoted = command % tuple(shlex.quote(a) for a in args) if args else command
        self._tell(quoted)
        return self.connection.run(quoted, timeout=timeout, on_output=self._on_output)

    def put(self, local: str | Path, remote: str) -> None:
        """Copy a local file or folder to the machine.

        As with rsync: a folder ``site`` goes to ``remote/site``, ``site/`` (with the slash) means
        its contents. A file goes into ``remote`` if that ends in a slash or is a directory, else
        takes that name. Missing directories are made; modes and symbolic links are kept.

        Args:
            local: a relative path starts at the build's file.
            remote: a path on the machine.

        Raises:
            TransferError: the local path does not exist, or the machine refused.
        """
        self._tell(f"put {local} {remote}")
        transfer.put(self.connection, str(local), remote, base=self._context.directory)

    def get(self, remote: str, local: str | Path) -> None:
        """Copy a file or folder from the machine; the rules are those of `put`.

        Raises:
            TransferError: the remote path does not exist, or cannot be written here.
        """
        self._tell(f"get {remote} {local}")
        transfer.get(self.connection, remote, str(local), base=self._context.directory)

    @functools.cached_property
    def ssh_config(self) -> Path:
        """A file with which any tool reaches the machine, as the host ``default``.

        It names the key, the host key that the machine must show, and the way there. It and what
        belongs to it are private, and are gone when the machine is. Where the login is by a
        password, the tool has to ask for it.

        Example:
            `subprocess.run(["ssh", "-F", machine.ssh_config, "default", "uptime"], check=True)`
        """
        name = f"{self._context.run_id}-{self._context.build}.ssh"
        folder = cache.directory() / "machines" / name
        resource = Resource(LOCAL_FOLDER, str(folder), self.source.type, self._context.build)
        self._context.journal.intend(resource)
        folder.mkdir(parents=True, mode=0o700)
        return self.connection.ssh_config(folder)

    def _execute_file(
        self,
        local: Path,
        env: Mapping[str, str] | None,
        cwd: str | None,
        sudo: bool,
        timeout: float | None,
    ) -> CommandResult:
        source, remote = self._context.directory / local, _temporary()
        if not source.is_file():
            raise ConfigurationError(f"machine.shell: script {source} does not exist or is no file")
        content = source.read_bytes()
        script = scripts.of_file(content, f"script {local}", remote, env, cwd)
        try:
            transfer.put(self.connection, str(source), remote, base=self._context.directory)
            return self._execute(script, sudo, timeout)
        finally:
            self._remove(remote, sudo)

    def _execute(self, script: Script, sudo: bool, timeout: float | None) -> CommandResult:
        for line in script.title.splitlines():
            self._tell(line)
        path = _temporary()
        # The script travels on standard input: no limit on its length, nothing in the process list.
        runner = (
            f"(umask 077; cat >{path}) && {self._as_root(sudo)}/bin/sh -e {path} </dev/null; "
            f"status=$?; [ $status != 0 ] || rm -f {path}; exit $status"
        )
        try:
            result = self.connection.run(
                runner, stdin=script.text.encode(), timeout=timeout, on_output=self._on_output
            )
            if result.failed:
                raise CommandError(self._failed_step(script, path, sudo), result)
        except HarnessError:
            self._remove(f"{path} {path}.step", sudo)
            raise
        return result

    def _failed_step(self, script: Script, path: str, sudo: bool) -> str:
        command = f"{self._as_root(sudo)}cat {path}.step 2>/dev/null"
        return script.step(self.connection.run(command, timeout=30).stdout)

    def _remove(self, paths: str, sudo: bool) -> None:
        # Best effort: where the connection is gone or the run is stopped, so is the machine.
        with contextlib.suppress(HarnessError):
            self.connection.run(f"{self._as_root(sudo)}rm -f {paths}", timeout=30)

    def _as_root(self, sudo: bool) -> str:
        return "sudo -n -H " if sudo and self.source.ssh_username != "root" else ""

    def _on_output(self, stream: str, data: bytes) -> None:
        self._context.events.emit(Output(self._context.build, stream, data))

    def _tell(self, text: str) -> None:
        self._on_output("command", f"$ {text}\n".encode())


def _temporary() -> str:
    return f"/tmp/harness-{secrets.token_hex(8)}"  # noqa: S108 - on the machine, unguessable, 0600
