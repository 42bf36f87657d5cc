"""Call limits: calls a day as the Analytics API tells them, and bursts of revisions."""

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connectors.ebay.sandbox.markup import stamp
from connectors.ebay.sandbox.wrongs import contract
from oms_sync.sdk.sandbox_store import Store

UNLIMITED: Final = 1_000_000_000
DAY_SECONDS: Final = 86_400
BURST_CALLS: Final = 6_000
BURST_SECONDS: Final = 15.0
#: standard time all year round: a day begins at midnight in the US Pacific zone
_PACIFIC: Final = timedelta(hours=8)
_TRADING: Final = ("tradingapi", "tradingapi")


def pacific_day(now: datetime) -> str:
    """The day quotas and revisions are counted by."""
    return (now.astimezone(UTC) - _PACIFIC).date().isoformat()


def next_reset(now: datetime) -> datetime:
    """The next midnight, Pacific."""
    midnight = (now.astimezone(UTC) - _PACIFIC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1) + _PACIFIC


class Limits:
    """Counts calls; the caller holds the store's lock."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._day = ""
        self._used: dict[tuple[str, str], int] = {}
        self._revisions: deque[datetime] = deque()
        self._blocked_until: datetime | None = None

    def spend(self, api: tuple[str, str] = _TRADING) -> bool:
        """Count a call of an API and say whether it was within the limit."""
        self._turn_day()
        if self._used.get(api, 0) >= self._limit(api):
            return False
        self._used[api] = self._used.get(api, 0) + 1
        return True

    def spend_revision(self) -> bool:
        """6,000 revisions in 15 seconds; beyond, nothing goes for another 15."""
        if not self._store.options.limits_published:
            return True
        now = self._store.now()
        if self._blocked_until is not None and now < self._blocked_until:
            return False
        span = timedelta(seconds=BURST_SECONDS)
        while self._revisions and now - self._revisions[0] > span:
            self._revisions.popleft()
        if len(self._revisions) >= BURST_CALLS:
            self._blocked_until = now + span
            return False
        self._revisions.append(now)
        return True

    def _limit(self, api: tuple[str, str]) -> int:
        if not self._store.options.limits_published:
            return UNLIMITED
        return next(int(row[2]) for row in contract()["limits"] if (row[0], row[1]) == api)

    def _turn_day(self) -> None:
        today = pacific_day(self._store.now())
        if today != self._day:
            self._day = today
            self._used.clear()

    def report(self, query: dict[str, str]) -> Any:
        """The answer of `rate_limit`: every resource of an API shows the API's own budget."""
        self._turn_day()
        reset, shown = stamp(next_reset(self._store.now())), []
        for context, name, _, own in contract()["limits"]:
            named = (query.get("api_context", context), query.get("api_name", name))
            if named != (context, name):
                continue
            limit, used = self._limit(named), self._used.get(named, 0)
            rate: dict[str, Any] = {"count": used, "limit": limit, "remaining": limit - used}
            rate |= {"reset": reset, "timeWindow": DAY_SECONDS}
            resources = [{"name": each, "rates": [rate]} for each in own or contract()["calls"]]
            api = {"apiContext": context, "apiName": name, "apiVersion": "v1"}
            shown.append(api | {"resources": resources})
        return {"rateLimits": shown}
