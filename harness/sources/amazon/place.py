"""How the journal names something on Amazon: enough to find it again in another process.

Keys are not written down: what removes it later uses boto3's own chain, with the same profile and
role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from harness.sources.amazon.account import Access, Account, Api

if TYPE_CHECKING:
    from harness.cancel import CancelToken


@dataclass(frozen=True)
class Place:
    """``us-west-2/harness-web-1a2b?profile=ci``: a region, a token, and the way to the account."""

    region: str
    token: str
    profile: str = ""
    role: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, api: Api, token: str) -> Place:
        access = api.account.access
        role = tuple((name, str(value)) for name, value in access.role)
        return cls(api.region, token, access.profile, role)

    @classmethod
    def parse(cls, text: str) -> Place:
        where, _, query = text.partition("?")
        region, _, token = where.partition("/")
        given = dict(parse_qsl(query))
        profile = given.pop("profile", "")
        return cls(region, token, profile, tuple(sorted(given.items())))

    def __str__(self) -> str:
        given = [*([("profile", self.profile)] if self.profile else []), *self.role]
        query = f"?{urlencode(given)}" if given else ""
        return f"{self.region}/{self.token}{query}"

    def api(self, cancel: CancelToken) -> Api:
        """The way there."""
        role = tuple(
            (name, int(value) if name == "duration_seconds" else value) for name, value in self.role
        )
        access = Access(profile=self.profile, role=role)
        return Api(Account(access), self.region, cancel, access.max_retries)
