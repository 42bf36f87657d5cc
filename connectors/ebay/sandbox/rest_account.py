"""Developer Analytics: what the application and the user may still call."""

from typing import Final

from connectors.ebay.sandbox.limits import Limits
from connectors.ebay.sandbox.rest import APPLICATION, USER, RestCall, make_door, show
from oms_sync.sdk.sandbox_wire import Reply

_BASE: Final = "GET /developer/analytics/v1_beta"
_API: Final = ("developer", "analytics")
_CONTEXTS: Final = frozenset({"buy", "sell", "commerce", "developer", "tradingapi"})


class AnalyticsDoors:
    """The two operations."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.doors = (
            make_door("getRateLimits", f"{_BASE}/rate_limit", self._tell, _API, APPLICATION),
            make_door("getUserRateLimits", f"{_BASE}/user_rate_limit", self._tell, _API, USER),
        )

    def _tell(self, call: RestCall) -> Reply:
        query = {name: value.lower() for name, value in call.query.items()}
        if query.get("api_context", "sell") not in _CONTEXTS:
            return show(204)
        told = self._limits.report(query)
        return show(200, told) if told["rateLimits"] else show(204)
