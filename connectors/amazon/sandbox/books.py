"""The books and the warehouses: financial events of an order, and units Amazon holds."""

from typing import Any, Final

from connectors.amazon.sandbox.answers import answer, invalid
from connectors.amazon.sandbox.fba import UNITS_AT_START, FbaPool
from connectors.amazon.sandbox.marketplace import (
    CURRENCY,
    MARKETPLACE_ID,
    MARKETPLACE_NAME,
    asin,
    order_id,
    stamp,
)
from connectors.amazon.sandbox.order_feeds import OrderFeeds, PaidBack
from connectors.amazon.sandbox.orders import find_order
from connectors.amazon.sandbox.pages import Pages
from connectors.amazon.sandbox.routes import Request
from oms_sync.sdk.sandbox_records import Order, Variant
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

EVENTS_PAGE: Final = 100
SUMMARIES_PAGE: Final = 50
_CHARGES: Final = {"Shipping": "ShippingCharge"}
_SUMMARIES: Final = tuple(
    "details granularityType granularityId startDateTime sellerSkus sellerSku nextToken "
    "marketplaceIds".split()
)


class Books:
    """The resolver of financial events."""

    def __init__(self, store: Store, feeds: OrderFeeds) -> None:
        self._store, self._feeds = store, feeds
        self._pages = Pages(store)

    def of_order(self, request: Request) -> Reply:
        query = request.params(("MaxResultsPerPage", "NextToken"))
        order = find_order(self._store, request.path[0])
        size = query.whole("MaxResultsPerPage", 1, EVENTS_PAGE, default=EVENTS_PAGE)
        known = self._feeds.paid_back.get(order.id, [])
        found = [each for each in known if each.visible_at <= self._store.now()]
        token = query.text("NextToken")
        start = self._pages.take(token, order.id) if token else 0
        page = [_event(order, each) for each in found[start : start + size]]
        payload: dict[str, Any] = {"FinancialEvents": {"RefundEventList": page}}
        if start + size < len(found):
            payload["NextToken"] = self._pages.give(order.id, start + size)
        return answer(200, {"payload": payload})


def _event(order: Order, back: PaidBack) -> dict[str, Any]:
    return {
        "AmazonOrderId": order_id(order),
        "SellerOrderId": order_id(order),
        "MarketplaceName": MARKETPLACE_NAME,
        "PostedDate": stamp(back.at),
        "ShipmentItemAdjustmentList": [
            {
                "SellerSKU": line.variant.sku,
                "OrderItemId": str(line.id),
                "OrderAdjustmentItemId": str(back.id + place),
                "QuantityShipped": line.fulfilled,
                "ItemChargeAdjustmentList": [
                    {
                        "ChargeType": _CHARGES.get(kind, kind),
                        "ChargeAmount": {
                            "CurrencyCode": CURRENCY,
                            "CurrencyAmount": float(-amount),
                        },
                    }
                    for kind, amount in kinds.items()
                ],
            }
            for place, (line, kinds) in enumerate(back.money.items())
        ],
    }


class Warehouses:
    """The resolver of FBA inventory."""

    def __init__(self, store: Store, pool: FbaPool) -> None:
        self._pool = pool
        self._pages = Pages(store)

    def summaries(self, request: Request) -> Reply:
        query = request.params(_SUMMARIES)
        query.marketplaces(is_required=True)
        if query.choice("granularityType", ("Marketplace",)) is None:
            raise invalid("Missing required parameter: granularityType")
        query.marketplaces("granularityId", is_required=True)
        is_detailed = query.choice("details", ("true", "false")) == "true"
        wanted = query.listed("sellerSkus")
        found = [each for sku, each in self._pool.listings.items() if not wanted or sku in wanted]
        token = query.text("nextToken")
        start = self._pages.take(token, tuple(wanted)) if token else 0
        end = start + SUMMARIES_PAGE
        payload = {
            "granularity": {"granularityType": "Marketplace", "granularityId": MARKETPLACE_ID},
            "inventorySummaries": [
                self._summary(each, is_detailed=is_detailed) for each in found[start:end]
            ],
        }
        body: dict[str, Any] = {"payload": payload}
        if end < len(found):
            body["pagination"] = {"nextToken": self._pages.give(tuple(wanted), end)}
        return answer(200, body)

    def _summary(self, variant: Variant, *, is_detailed: bool) -> dict[str, Any]:
        left = UNITS_AT_START - self._pool.units[variant.sku]
        shown: dict[str, Any] = {
            "asin": asin(variant.sku),
            "fnSku": f"X00{asin(variant.sku)[2:9]}",
            "sellerSku": variant.sku,
            "condition": "NewItem",
            "lastUpdatedTime": stamp(variant.updated_at),
            "productName": variant.title,
            "totalQuantity": left,
        }
        if is_detailed:
            shown["inventoryDetails"] = {"fulfillableQuantity": left}
        return shown
