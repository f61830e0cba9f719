"""An account: boto3's sessions and clients, and calls that are made again where that helps."""

from __future__ import annotations

import itertools
import os
import random
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.cancel import CancelToken
from harness.errors import ConfigurationError, ToolMissingError
from harness.secret import Secret, reveal
from harness.sources.amazon.errors import ApiError, translated
from harness.sources.amazon.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""For an answer; a call that changes something is not given up earlier, even by Ctrl-C."""
SETTLING_SECONDS = 60.0
"""How long what was just made may be unknown to another part of EC2."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds before a call is made again."""


@dataclass(frozen=True)
class Access:
    """How an account is reached. Everything is optional: boto3's own chain finds the rest.

    Args:
        access_key, secret_key, token: as AWS_ACCESS_KEY_ID and so on.
        profile: of ~/.aws/config.
        role: parameters of STS's AssumeRole by Packer's names, as sorted pairs.
        mfa_code: for a profile that has an ``mfa_serial``.
        max_retries: how often a call that failed for a moment is made again.
    """

    access_key: str = ""
    secret_key: str | Secret = field(default="", repr=False)
    token: str | Secret = field(default="", repr=False)
    profile: str = ""
    role: tuple[tuple[str, Any], ...] = ()
    mfa_code: str | Secret = field(default="", repr=False)
    max_retries: int = 10


def require_boto3() -> None:
    """Refuse to go on without boto3.

    Raises:
        ToolMissingError: it says what to install.
    """
    try:
        import boto3  # noqa: F401 - whether it is there
    except ImportError as error:
        raise ToolMissingError(
            "images for Amazon need boto3. "
            "Install it with: pip install 'pytest-image-harness[amazon]'"
        ) from error


class Account:
    """One account in one run: what it makes is made once, and shared by the run's builds."""

    def __init__(self, access: Access) -> None:
        require_boto3()
        self.access = access
        self._made: dict[tuple[str, str], Any] = {}
        self._lock = threading.RLock()
        self._session: Any = None

    @property
    def session(self) -> Any:
        """boto3's session.

        Raises:
            ConfigurationError: there is no such profile.
        """
        with self._lock:
            if self._session is None:
                try:
                    self._session = _session(self.access)
                except Exception as error:
                    raise translated(error, "the session", "no region") from error
            return self._session

    @property
    def region(self) -> str:
        """The region of boto3's own configuration, or else of AWS_REGION, as other tools of
        Amazon's read it; empty: nothing names one.
        """
        try:
            return self.session.region_name or os.environ.get("AWS_REGION", "")
        except Exception as error:
            raise translated(error, "the session", "no region") from error

    def client(self, service: str, region: str) -> Any:
        """boto3's client; it may be used by several threads at once."""
        from botocore.config import Config

        with self._lock:  # making one is not
            if (service, region) not in self._made:
                config = Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    retries={"total_max_attempts": 1},  # ours can be stopped
                    max_pool_connections=50,
                    user_agent_extra="pytest-image-harness",
                )
                self._made[service, region] = self.session.client(
                    service, region_name=region, config=config
                )
            return self._made[service, region]

    def poller(self, kind: str, region: str) -> Poller:
        """What asks after things of a kind (`DESCRIBE`) for all builds."""
        with self._lock:
            if (kind, region) not in self._made:
                self._made[kind, region] = Poller(kind)
            poller: Poller = self._made[kind, region]
            return poller


@dataclass(frozen=True)
class Api:
    """The API of a region, for one build."""

    account: Account
    region: str
    cancel: CancelToken
    max_retries: int

    def elsewhere(self, region: str) -> Api:
        return replace(self, region=region)

    def unstoppable(self) -> Api:
        """One for what must come to its end even if the run is being stopped."""
        return replace(self, cancel=CancelToken())

    def patient_no_more(self) -> Api:
        """One that makes each call once."""
        return replace(self, max_retries=0)

    def call(
        self, operation: str, *, service: str = "ec2", settling: bool = False, **parameters: Any
    ) -> Any:
        """Make a call; again after a pause, if it fails for a moment only.

        Creations have to bear being made twice: by a client token, or by a name of their own.

        Args:
            operation: boto3's name of it.
            service: boto3's name of it.
            settling: what the call is about was made just now: that it is not found means nothing.
            parameters: of the call; those that are None are left out.

        Raises:
            ApiError, ConfigurationError: see `translated`.
            CancelledError: the run is being stopped.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        waited = 0.0
        for attempt in itertools.count():
            self.cancel.check()
            try:
                return self._once(service, operation, given)
            except ApiError as error:
                again = attempt < self.max_retries and error.is_transient
                unsettled = settling and error.is_not_found and waited < SETTLING_SECONDS
                if not again and not unsettled:
                    raise
            seconds = _pause(attempt)
            waited += seconds
            self.cancel.sleep(seconds)
        raise AssertionError  # counting does not end

    def list(self, operation: str, key: str, **parameters: Any) -> list[Any]:
        """All pages of a Describe call: the entries below this key."""
        found: list[Any] = []
        token: str | None = None
        while True:
            answer = self.call(operation, **parameters, NextToken=token)
            found += answer.get(key, [])
            token = answer.get("NextToken")
            if not token:
                return found

    def _once(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Any:
        try:
            client = self.account.client(service, self.region)
            return getattr(client, operation)(**parameters)
        except (ApiError, ConfigurationError):
            raise
        except Exception as error:
            words = "".join(map(str.capitalize, operation.split("_")))
            name = f"{service}:{words}"
            raise translated(error, name, self.region) from error


def _pause(attempt: int) -> float:
    """Longer and longer, and never two at the same time."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


def _session(access: Access) -> Any:
    import boto3
    import botocore.session

    core = botocore.session.Session(profile=access.profile or None)
    if access.mfa_code:
        _answer_for_mfa(core, reveal(access.mfa_code))
    session = boto3.session.Session(
        botocore_session=core,
        aws_access_key_id=access.access_key or None,
        aws_secret_access_key=reveal(access.secret_key) or None,
        aws_session_token=reveal(access.token) or None,
    )
    return _in_role(session, dict(access.role)) if access.role else session


def _answer_for_mfa(core: Any, code: str) -> None:
    """Nobody sits at the terminal: what would be asked for there has been given."""
    resolver = core.get_component("credential_provider")
    resolver.get_provider("assume-role")._prompter = lambda _: code  # noqa: SLF001 - no other way


def _in_role(session: Any, role: Mapping[str, Any]) -> Any:
    """A session that assumes a role, and does so again before its credentials expire."""
    import boto3
    import botocore.credentials
    import botocore.session

    names = {
        "role_arn": "",
        "session_name": "RoleSessionName",
        "external_id": "ExternalId",
        "duration_seconds": "DurationSeconds",
        "policy": "Policy",
    }
    fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
        session._session.create_client,  # noqa: SLF001 - boto3 has no public way to it
        session.get_credentials(),
        role["role_arn"],
        extra_args={names[n]: value for n, value in role.items() if names[n]},
    )
    core = botocore.session.Session()
    core._credentials = botocore.credentials.DeferredRefreshableCredentials(  # noqa: SLF001 - as above
        fetcher.fetch_credentials, "assume-role"
    )
    core.set_config_variable("region", session.region_name)
    return boto3.session.Session(botocore_session=core)
