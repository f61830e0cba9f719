"""Another try, and another, each after a longer pause."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

from harness.errors import CancelledError, ConfigurationError, HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.cancel import CancelToken

LONGEST_PAUSE = 30.0

T = TypeVar("T")


def pauses() -> Iterator[float]:
    """Seconds before each further try: 1, 2, 4, 8, 16, and from then on 30."""
    return (min(2.0**n, LONGEST_PAUSE) for n in itertools.count())


def persist(
    attempt: Callable[[], T], retries: int, cancel: CancelToken, tell: Callable[[str], None]
) -> T:
    """What the attempt returns, after at most ``retries`` further ones; the last error counts.

    What no repetition can change (a wrong option, the run being stopped) is raised at once.

    Args:
        attempt: may raise any `HarnessError`.
        retries: 0 for one attempt.
        cancel: ends the pauses.
        tell: is told of each failure that is not the last.
    """
    if type(retries) is not int or retries < 0:
        raise ConfigurationError(f"retries={retries!r}: write how often, 0 or more")
    for pause in itertools.islice(pauses(), retries):
        try:
            return attempt()
        except (ConfigurationError, CancelledError):
            raise
        except HarnessError as error:
            tell(f"{_beginning(error)}; again in {pause:g} s")
        cancel.sleep(pause)
    return attempt()


def _beginning(error: HarnessError) -> str:
    return ": ".join(str(error).splitlines()[:2])
