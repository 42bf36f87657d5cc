"""What Amazon offers under which path; a request that fits no operation is refused."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from connectors.amazon.sandbox.answers import Query, Refused, fields, invalid
from oms_sync.sdk.sandbox_wire import Reply

_NONE: Final[Mapping[str, type]] = {}
_ORDERS: Final = "/orders/2026-01-01/orders"
_ORDERS_V0: Final = "/orders/v0/orders"
_LISTINGS: Final = "/listings/2021-08-01/items"
_FEEDS: Final = "/feeds/2021-06-30"
_REPORTS: Final = "/reports/2021-06-30"
_NOTIFICATIONS: Final = "/notifications/v1"
#: method, path with a star for each argument, operation, its calls per second, its burst
_TABLE: Final = (
    ("GET", _ORDERS, "searchOrders", 0.0056, 20),
    ("GET", f"{_ORDERS}/*", "getOrder", 0.5, 30),
    ("POST", f"{_ORDERS_V0}/*/shipmentConfirmation", "confirmShipment", 2.0, 10),
    ("GET", f"{_LISTINGS}/*", "searchListingsItems", 5.0, 5),
    ("GET", f"{_LISTINGS}/*/*", "getListingsItem", 5.0, 10),
    ("PATCH", f"{_LISTINGS}/*/*", "patchListingsItem", 5.0, 5),
    ("POST", f"{_FEEDS}/documents", "createFeedDocument", 0.5, 15),
    ("GET", f"{_FEEDS}/documents/*", "getFeedDocument", 0.0222, 10),
    ("POST", f"{_FEEDS}/feeds", "createFeed", 0.0083, 15),
    ("GET", f"{_FEEDS}/feeds", "getFeeds", 0.0222, 10),
    ("GET", f"{_FEEDS}/feeds/*", "getFeed", 2.0, 15),
    ("DELETE", f"{_FEEDS}/feeds/*", "cancelFeed", 2.0, 15),
    ("POST", f"{_REPORTS}/reports", "createReport", 0.0167, 15),
    ("GET", f"{_REPORTS}/reports/*", "getReport", 2.0, 15),
    ("GET", f"{_REPORTS}/documents/*", "getReportDocument", 0.0167, 15),
    ("GET", "/sellers/v1/marketplaceParticipations", "getMarketplaceParticipations", 0.016, 15),
    ("GET", f"{_NOTIFICATIONS}/subscriptions/*", "getSubscription", 1.0, 5),
    ("POST", f"{_NOTIFICATIONS}/subscriptions/*", "createSubscription", 1.0, 5),
    ("DELETE", f"{_NOTIFICATIONS}/subscriptions/*/*", "deleteSubscriptionById", 1.0, 5),
    ("GET", f"{_NOTIFICATIONS}/destinations", "getDestinations", 1.0, 5),
    ("POST", f"{_NOTIFICATIONS}/destinations", "createDestination", 1.0, 5),
    ("GET", "/finances/v0/orders/*/financialEvents", "listFinancialEventsByOrderId", 0.5, 30),
    ("GET", "/fba/inventory/v1/summaries", "getInventorySummaries", 2.0, 2),
    ("GET", _ORDERS_V0, "getOrders", 0.0167, 20),
    ("GET", f"{_ORDERS_V0}/*", "getOrderV0", 0.5, 30),
    ("GET", f"{_ORDERS_V0}/*/orderItems", "getOrderItems", 0.5, 30),
)
#: these take a token of the application, not of a seller
GRANTLESS: Final = frozenset({"getDestinations", "createDestination", "deleteSubscriptionById"})
#: these only prepare: nothing is done where their answer is lost
PREPARING: Final = frozenset({"createFeedDocument", "createReport"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to an operation, as the resolvers see it."""

    operation: str
    #: the decoded arguments of the path
    path: tuple[str, ...]
    query: str
    body: bytes
    #: where this sandbox can be reached, for the addresses it hands out
    base_url: str

    def params(self, known: Iterable[str] = ()) -> Query:
        """The query, with no parameters but these."""
        return Query(self.query, known)

    def fields(
        self, required: Mapping[str, type], optional: Mapping[str, type] = _NONE
    ) -> dict[str, Any]:
        """The JSON body, with no fields but these."""
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise invalid("The request body is not valid JSON.") from error
        return fields(body, required, optional)


Resolver = Callable[[Request], Reply]
Resolvers = Mapping[str, Resolver]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("/".join("([^/]+)" if part == "*" else part for part in path.split("/")))


_ROUTES: Final = tuple((method, _pattern(path), name) for method, path, name, _, _ in _TABLE)
#: calls per second and burst by operation
RATES: Final = {name: (rate, burst) for _, _, name, rate, burst in _TABLE}


def find(method: str, raw_path: str) -> tuple[str, tuple[str, ...]]:
    """The operation and its decoded arguments; the path is still percent-encoded."""
    is_path_known = False
    for allowed, pattern, name in _ROUTES:
        match = pattern.fullmatch(raw_path)
        if match and method == allowed:
            return name, tuple(unquote(each) for each in match.groups())
        is_path_known = is_path_known or match is not None
    if is_path_known:
        message = f"The method {method} is not supported for this resource."
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    message = "Access to requested resource is denied."
    raise Refused(HTTPStatus.FORBIDDEN, "Unauthorized", message, "Unknown operation.")
