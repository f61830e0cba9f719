"""A configuration for `ssh -F`, so that any tool can get where a connection goes."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.model import Endpoint, Proxy

HOST = "default"
BASTION = "bastion"


def write(endpoint: Endpoint, directory: Path) -> Path:
    """Write the configuration, its keys and its known_hosts into a private directory.

    Returns:
        The configuration's path; in it the host is called ``default``.
    """
    hosts = {HOST: endpoint} | ({BASTION: endpoint.bastion} if endpoint.bastion else {})
    known = [f"{name} {key}\n" for name, at in hosts.items() for key in at.host_key.splitlines()]
    _write(directory / "known_hosts", "".join(known))
    lines = [line for name, at in hosts.items() for line in _host(name, at, directory)]
    return _write(directory / "ssh_config", "".join(f"{line}\n" for line in lines))


def _host(name: str, at: Endpoint, directory: Path) -> Iterator[str]:
    yield f"Host {name}"
    yield f"  HostName {at.host}"
    yield f"  Port {at.port}"
    yield f"  User {at.username}"
    yield f"  HostKeyAlias {name}"
    yield f"  UserKnownHostsFile {_quoted(directory / 'known_hosts')}"
    yield "  GlobalKnownHostsFile none"
    yield "  StrictHostKeyChecking yes"
    yield "  UpdateHostKeys no"
    yield f"  IdentitiesOnly {'no' if at.agent_auth else 'yes'}"
    yield f"  IdentityAgent {'SSH_AUTH_SOCK' if at.agent_auth else 'none'}"
    yield f"  BatchMode {'no' if at.password else 'yes'}"
    yield f"  IdentityFile {_key(at, directory / f'{name}.key')}"
    if at.certificate:
        certificate = _write(directory / f"{name}.key-cert.pub", at.certificate)
        yield f"  CertificateFile {_quoted(certificate)}"
    if at.keep_alive_interval >= 1:
        yield f"  ServerAliveInterval {at.keep_alive_interval:.0f}"
    if at.bastion:
        yield f"  ProxyJump {BASTION}"
    elif at.proxy:
        yield f"  ProxyCommand {_proxy_command(at.proxy, directory / f'{name}.proxy')}"


def _key(at: Endpoint, path: Path) -> str:
    return _quoted(_write(path, at.private_key)) if at.private_key else "none"


def _proxy_command(proxy: Proxy, path: Path) -> str:
    file = _write(path, json.dumps(dataclasses.asdict(proxy)))
    command = shlex.join([sys.executable, "-m", "harness.socks", str(file)])
    return f"{command.replace('%', '%%')} %h %p"


def _quoted(path: Path) -> str:
    return f'"{str(path).replace("%", "%%")}"'


def _write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    return path
