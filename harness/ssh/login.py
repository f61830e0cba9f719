"""Into a machine: the handshake, the host key, the login; again and again until the deadline."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING

import paramiko

from harness.errors import ConfigurationError
from harness.ssh import keys, route
from harness.ssh.transport import Line, Transport, hang_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.model import Endpoint
    from harness.ssh.wait import Wait

    Way = Callable[[Transport], list[str]]
    Ways = dict[str, Way]

# Since 9.8 OpenSSH shuts an address out for a while after too many connections without a login.
# So a refused key is offered again on the same connection (the server ends it after the sixth),
# which also spares a slow guest a key exchange.
OFFERS = 5
OFFER_PAUSE = 0.5
LOGIN_PAUSE = 1.0


def log_in(wait: Wait) -> Transport:
    """A login at the endpoint that is waited for; through its bastion, where it has one.

    Raises:
        CancelledError, ConnectError: see `Wait.check`.
        ConfigurationError: a key cannot be read, or there is no way to log in.
    """
    expected = keys.host_keys(wait.endpoint.host_key)
    with _ways_in(wait.endpoint) as ways:
        while True:
            transport = Transport(_line(wait))
            try:
                if _negotiate(transport, expected, wait) and _authenticate(transport, ways, wait):
                    transport.keep_alive(
                        wait.endpoint.keep_alive_interval, wait.endpoint.read_write_timeout
                    )
                    return transport
            except BaseException:
                hang_up(transport)
                raise
            hang_up(transport)
            wait.count_failure()
            wait.pause(LOGIN_PAUSE)


def _line(wait: Wait) -> Line:
    while wait.endpoint.bastion is not None:
        hop = log_in(wait.toward(wait.endpoint.bastion))
        try:
            return route.through(hop, wait)
        except paramiko.SSHException as error:
            hang_up(hop)
            wait.seen = f"the bastion was lost, or gave no answer ({error})"
            wait.pause(LOGIN_PAUSE)
        except BaseException:
            hang_up(hop)
            raise
    return route.dial(wait)


def _negotiate(transport: Transport, expected: keys.HostKeys, wait: Wait) -> bool:
    """Whether there is a secure line to the machine that we expect."""
    options = transport.get_security_options()
    options.key_types = sorted(options.key_types, key=lambda name: name not in expected.algorithms)
    negotiated = threading.Event()
    transport.start_client(negotiated)
    wait.until(negotiated.wait)
    if not transport.is_active():
        wait.seen = _handshake_failure(transport.get_exception())
        return False
    shown = transport.get_remote_server_key().asbytes()
    if shown not in expected.blobs:
        wait.seen = (
            f"host key different: expected {expected}, got {keys.fingerprint(shown)}; that is "
            "another machine, or one whose first boot has not put the expected key in place"
        )
        return False
    return True


def _handshake_failure(error: Exception | None) -> str:
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return f"algorithms not in common: {error} (an image this old needs a newer SSH server)"
    if isinstance(error, paramiko.SSHException):
        return f"it answered, but not as an SSH server: {error}"
    return f"the connection broke off during the handshake ({error})"


@contextlib.contextmanager
def _ways_in(endpoint: Endpoint) -> Iterator[Ways]:
    """What may let us in, in the order in which it is tried."""
    name, ways = endpoint.username, dict[str, "Way"]()
    with contextlib.ExitStack() as stack:
        if endpoint.agent_auth:
            agent = stack.enter_context(contextlib.closing(paramiko.Agent()))
            for key in agent.get_keys():
                ways[f"the agent's key {keys.fingerprint(key.asbytes())}"] = _by_key(name, key)
        if endpoint.private_key:
            own = keys.private_key(endpoint.private_key, endpoint.certificate)
            ways["key"] = _by_key(name, own)
        if endpoint.password:
            ways["password"] = partial(
                Transport.auth_password, username=name, password=endpoint.password
            )
        if not ways:
            raise ConfigurationError(
                f"nothing lets us in at {name}@{endpoint.host}: there is no private key and no "
                f"password{', and the SSH agent has no key' if endpoint.agent_auth else ''}"
            )
        yield ways


def _by_key(name: str, key: paramiko.PKey) -> Way:
    return partial(Transport.auth_publickey, username=name, key=key)


def _authenticate(transport: Transport, ways: Ways, wait: Wait) -> bool:
    """Whether the server let us in."""
    for _ in range(max(1, OFFERS // len(ways))):
        refusals = []
        for name, way in ways.items():
            if refusal := _refusal(transport, way, wait):
                refusals.append(f"{name} {refusal}")
            if transport.is_authenticated():
                return True
        wait.seen = "; ".join(refusals)
        if not transport.is_active():
            return False
        wait.pause(OFFER_PAUSE)
    return False


def _refusal(transport: Transport, way: Way, wait: Wait) -> str:
    try:
        further = wait.during(partial(way, transport))
    except paramiko.AuthenticationException as error:
        return f"refused for user {wait.endpoint.username} ({error})"
    except (paramiko.SSHException, EOFError, OSError) as error:  # the server had enough
        return f"not answered: the connection broke off during the login ({error})"
    return f"is not enough: the server also wants {' and '.join(further)}" if further else ""
