"""Published rates of Amazon's operations as token buckets, one per operation, full at the start."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final

from connectors.amazon.sandbox.answers import Refused
from connectors.amazon.sandbox.routes import RATES

#: what the header says when limits are off: so much that nobody waits
UNLIMITED: Final = 1_000.0


class Limits:
    """Spends one call of an operation's bucket, or refuses with QuotaExceeded."""

    def __init__(self, now: Callable[[], datetime], *, is_published: bool) -> None:
        self._now, self._is_published = now, is_published
        at = now()
        self._buckets = {name: (float(burst), at) for name, (_, burst) in RATES.items()}

    def spend(self, operation: str) -> None:
        if not self._is_published:
            return
        (rate, burst), (left, then) = RATES[operation], self._buckets[operation]
        now = self._now()
        left = min(float(burst), left + max(0.0, (now - then).total_seconds()) * rate)
        is_allowed = left >= 1.0 - 1e-9
        self._buckets[operation] = (left - 1.0 if is_allowed else left, now)
        if not is_allowed:
            message = "You exceeded your quota for the requested resource."
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "QuotaExceeded", message)

    def header(self, operation: str) -> tuple[str, str]:
        """Sent with successes only, as the models say."""
        rate = RATES[operation][0] if self._is_published else UNLIMITED
        return ("x-amzn-RateLimit-Limit", str(rate))
