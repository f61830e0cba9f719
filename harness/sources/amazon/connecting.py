"""Into a machine: its address, its host key, its console."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from harness import console as reading
from harness.errors import ConnectError, SourceError
from harness.sources.amazon import preflight
from harness.sources.amazon.errors import ApiError

if TYPE_CHECKING:
    from harness import ssh
    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.amazon.machine import Ec2Machine
    from harness.sources.base import Context

LOOK_SECONDS = 15.0
"""Between two looks at the state of a machine that lets nobody in yet: each is a call."""
_HOST_KEYS = re.compile(
    r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL
)
_PUBLIC_KEY = re.compile(r"(?:ssh|ecdsa)-\S+ [A-Za-z0-9+/=]+")


def connect(source: AmazonEbs, machine: Ec2Machine, context: Context) -> ssh.Connection:
    """Wait until the machine lets us in.

    Raises:
        ConnectError: it does not in time, or has gone.
        SourceError: it has no address to be reached at.
    """
    address = "" if source.ssh_host else _address(source, machine)
    keys = machine.keys
    host_key = keys.host_public if source.plant_host_key else _printed(source, machine, context)
    endpoint = source.endpoint(context, address, source.ssh_port, keys.private, host_key)
    look = _Look(source, machine, context)
    return source.connect_ssh(endpoint, context, alive=look.hopeless, ready=lambda: False)


def console(source: AmazonEbs, machine: Ec2Machine, context: Context) -> bytes:
    """What the instance has printed, as far as EC2 tells; empty: nothing, or EC2 does not tell."""
    api = preflight.region_api(source, context).patient_no_more()
    for latest in (True, None):  # only some types can tell the latest
        try:
            answer = api.call("get_console_output", InstanceId=machine.id, Latest=latest)
        except ApiError:
            continue
        text: str = answer.get("Output", "")  # boto3 has decoded it
        return text.encode(errors="replace")
    return b""


def _address(source: AmazonEbs, machine: Ec2Machine) -> str:
    wanted = source.ssh_interface
    ways = (wanted,) if wanted else ("public_ip", "private_ip")
    for way in ways:
        if address := machine.addresses.get(way):
            return address
    has = ", ".join(f"{name} {address}" for name, address in machine.addresses.items()) or "none"
    raise SourceError(
        f"instance {machine.id} has no {' and no '.join(ways)} (it has {has}): give "
        "associate_public_ip_address=True, another ssh_interface, or another subnet"
    )


def _printed(source: AmazonEbs, machine: Ec2Machine, context: Context) -> str:
    """The host keys that the console tells of, a line each."""
    deadline = time.monotonic() + source.ssh_timeout
    look = _Look(source, machine, context)
    while True:
        text = console(source, machine, context).decode(errors="replace")
        found = _HOST_KEYS.search(text)
        if keys := _PUBLIC_KEY.findall(found[1]) if found else []:
            return "\n".join(keys)
        if reason := look.hopeless():
            raise ConnectError(f"instance {machine.id}: {reason}")
        if time.monotonic() > deadline:
            raise ConnectError(
                f"instance {machine.id}: its console told no host keys in "
                f"ssh_timeout={source.ssh_timeout:g} s, and without them it could be anybody"
            )
        context.cancel.sleep(min(LOOK_SECONDS, 5.0))


class _Look:
    """Looks now and then whether an instance still runs, and what its console says."""

    def __init__(self, source: AmazonEbs, machine: Ec2Machine, context: Context) -> None:
        self._source, self._machine, self._context = source, machine, context
        self._due = time.monotonic() + LOOK_SECONDS
        self._reason: str | None = None

    def hopeless(self) -> str | None:
        """Why it will let nobody in; None: it may."""
        if self._reason is None and time.monotonic() > self._due:
            self._due = time.monotonic() + LOOK_SECONDS
            self._reason = self._state() or reading.trouble(
                console(self._source, self._machine, self._context)
            )
        return self._reason

    def _state(self) -> str | None:
        api = preflight.region_api(self._source, self._context).patient_no_more()
        filters = [{"Name": "instance-id", "Values": [self._machine.id]}]
        try:
            found = api.list("describe_instances", "Reservations", Filters=filters)
        except ApiError:
            return None  # another look will tell
        states = {i["State"]["Name"]: i for each in found for i in each["Instances"]}
        if states.keys() <= {"pending", "running"}:
            return None
        state, instance = next(iter(states.items()))
        return f"it is {state}: {instance.get('StateReason', {}).get('Message', '')}".rstrip(": ")
