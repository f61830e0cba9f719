"""cloud-init, seen from outside: the wait until it is done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.errors import SourceError

if TYPE_CHECKING:
    from harness.sources.base import Connection

# cloud-init's own `status --wait` starts Python, seconds under emulation: its files tell as much.
_WAIT = """
command -v cloud-init >/dev/null 2>&1 || exit 0
[ ! -e /run/cloud-init/disabled ] && [ ! -e /etc/cloud/cloud-init.disabled ] || exit 0
[ -d /run/cloud-init ] || exit 0
until [ -e /run/cloud-init/result.json ]; do sleep 0.2; done
cat /run/cloud-init/result.json
"""


def wait(connection: Connection, build: str, *, timeout: float = 600) -> None:
    """Wait until cloud-init is done, where the machine has it and it is not disabled.

    Args:
        connection: the machine's.
        build: its name, for messages.
        timeout: seconds, 600 by default.

    Raises:
        SourceError: cloud-init ended with errors.
        CommandTimeoutError: it is not done in time.
    """
    answer = connection.run(_WAIT, timeout=timeout).stdout
    errors = json.loads(answer)["v1"]["errors"] if answer.strip() else []
    if errors:
        raise SourceError(
            f"{build}: cloud-init ended with errors: {'; '.join(map(str, errors))} "
            "(on the machine, /var/log/cloud-init.log has the story)"
        )
