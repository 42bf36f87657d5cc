"""The older reads of orders, v0: what is left of them until Amazon takes them away."""

from typing import Any, Final

from connectors.amazon.sandbox.answers import Query, answer, invalid
from connectors.amazon.sandbox.marketplace import (
    CURRENCY,
    MARKETPLACES,
    asin,
    order_id,
    stamp,
)
from connectors.amazon.sandbox.notifications import spelled_v0
from connectors.amazon.sandbox.order_views import (
    SHIP_WITHIN,
    STATUSES,
    original_of,
    price_of,
    programs_of,
    requested_lines,
    sold_in,
    status_of,
)
from connectors.amazon.sandbox.orders import Orders, Search, find_order
from connectors.amazon.sandbox.routes import Request
from oms_sync.sdk.sandbox_records import Line, Order
from oms_sync.sdk.sandbox_wire import Reply

PAGE_MAX: Final = 100
_SEARCH: Final = tuple(
    "CreatedAfter CreatedBefore LastUpdatedAfter LastUpdatedBefore OrderStatuses MarketplaceIds "
    "FulfillmentChannels MaxResultsPerPage NextToken".split()
)
_V0: Final = {spelled_v0(status): status for status in STATUSES}


class OlderOrders:
    """Resolvers of the v0 reads, over the newer ones' search."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def search(self, request: Request) -> Reply:
        query = request.params(_SEARCH)
        query.marketplaces("MarketplaceIds", is_required=True)
        size = query.whole("MaxResultsPerPage", 1, PAGE_MAX, default=PAGE_MAX)
        search = self._search(query)
        token = query.text("NextToken")
        mark = self._orders.first(search) if token is None else self._orders.taken(token, search)
        page, is_cut = self._orders.page(search, mark, size)
        payload: dict[str, Any] = {"Orders": [_order(each) for each in page]}
        if is_cut:
            payload["NextToken"] = self._orders.given(search, mark, page[-1])
        name = "LastUpdatedBefore" if search.family == "lastUpdated" else "CreatedBefore"
        return answer(200, {"payload": payload | {name: stamp(mark.before)}})

    def _search(self, query: Query) -> Search:
        families = ("lastUpdated", "LastUpdated"), ("created", "Created")
        given = [(name, words) for name, words in families if f"{words}After" in query]
        if len(given) != 1:
            raise invalid("Exactly one of CreatedAfter and LastUpdatedAfter must be provided.")
        ((name, words),) = given
        after, before = query.time(f"{words}After"), query.time(f"{words}Before")
        if after is None or (before is not None and before > self._orders.horizon()):
            raise invalid(f"{words}Before must be at least two minutes before now.")
        statuses = query.listed("OrderStatuses", _V0)
        return Search(
            family=name,
            after=after,
            before=before,
            statuses=tuple(_V0[each] for each in statuses),
            fulfilled_by=(),
            places=self._orders.places(query, "MarketplaceIds"),
        )

    def get(self, request: Request) -> Reply:
        request.params()
        return answer(200, {"payload": _order(self._orders.visible(request.path[0]))})

    def lines(self, request: Request) -> Reply:
        request.params(("NextToken",))
        order = find_order(self._orders.store, request.path[0])
        requested = requested_lines(order)
        rows = [_line(order, each, is_requested=each.id in requested) for each in order.lines]
        return answer(200, {"payload": {"AmazonOrderId": order_id(order), "OrderItems": rows}})


def _order(order: Order) -> dict[str, Any]:
    programs, original = programs_of(order), original_of(order)
    shown: dict[str, Any] = {
        "AmazonOrderId": order_id(order),
        "PurchaseDate": stamp(order.created_at),
        "LastUpdateDate": stamp(order.updated_at),
        "OrderStatus": spelled_v0(status_of(order)),
        "FulfillmentChannel": "AFN" if order.fulfilled_by == "channel" else "MFN",
        "SalesChannel": MARKETPLACES[sold_in(order)][0],
        "MarketplaceId": sold_in(order),
        "ShipmentServiceLevelCategory": "Standard",
        "IsPrime": "PRIME" in programs,
        "IsPremiumOrder": "PREMIUM" in programs,
        "IsReplacementOrder": original is not None,
        "NumberOfItemsShipped": sum(line.fulfilled for line in order.lines),
        "NumberOfItemsUnshipped": sum(line.unfulfilled for line in order.lines),
    }
    if original is not None:
        shown["ReplacedOrderId"] = original
    if order.is_paid:
        total = sum(price_of(order, each) * (each.quantity - each.removed) for each in order.lines)
        shown["OrderTotal"] = _money(total)
        shown["EarliestShipDate"] = stamp(order.created_at)
        shown["LatestShipDate"] = stamp(order.created_at + SHIP_WITHIN)
    return shown


def _line(order: Order, line: Line, *, is_requested: bool) -> dict[str, Any]:
    # v0 takes cancelled units out of what was ordered.
    count = line.quantity - line.removed
    shown: dict[str, Any] = {
        "ASIN": asin(line.variant.sku),
        "SellerSKU": line.variant.sku,
        "OrderItemId": str(line.id),
        "Title": line.variant.title,
        "QuantityOrdered": count,
        "QuantityShipped": line.fulfilled,
        "IsGift": "false",
    }
    if order.is_paid:
        shown["ItemPrice"] = _money(price_of(order, line) * count)
        shown["ItemTax"] = _money(0)
    if is_requested:
        shown["BuyerRequestedCancel"] = {
            "IsBuyerRequestedCancel": "true",
            "BuyerCancelReason": "No longer needed",
        }
    return shown


def _money(amount: Any) -> dict[str, str]:
    return {"CurrencyCode": CURRENCY, "Amount": f"{amount:.2f}"}
