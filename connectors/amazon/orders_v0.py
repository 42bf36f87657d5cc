"""Orders by the older API, v0, in the shape of the newer one: for whom the newer one fails.

Amazon takes it away on 27 March 2027. It is read without restricted tokens: neither names nor
addresses come with it.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from connectors.amazon.client import Answer, Client
from oms_sync import sdk

#: every order costs a call for its lines: a page must fit their budget
PAGE_ORDERS: Final = 20
LINE_PAGES_MAX: Final = 20
INCLUDED: Final = ("FULFILLMENT", "CANCELLATION", "PROCEEDS")
_ORDER: Final = "/orders/v0/orders/{}"
_STATUSES: Final[Mapping[str, str]] = {
    "PENDING_AVAILABILITY": "PendingAvailability",
    "PENDING": "Pending",
    "UNSHIPPED": "Unshipped",
    "PARTIALLY_SHIPPED": "PartiallyShipped",
    "SHIPPED": "Shipped",
    "CANCELLED": "Canceled",
    "UNFULFILLABLE": "Unfulfillable",
}
_NEWER: Final = {older: newer for newer, older in _STATUSES.items()}
_FULFILLED_BY: Final = {"MFN": "MERCHANT", "AFN": "AMAZON"}
_PROGRAMS: Final = {
    "IsPrime": "PRIME",
    "IsPremiumOrder": "PREMIUM",
    "IsBusinessOrder": "AMAZON_BUSINESS",
    "IsISPU": "IN_STORE_PICK_UP",
}
_BOUNDS: Final = "createdAfter createdBefore lastUpdatedAfter lastUpdatedBefore".split()
#: kind of proceeds → fields of a line that are it, a minus before those that lessen it
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "ITEM": ("ItemPrice",),
    "SHIPPING": ("ShippingPrice",),
    "COD_FEE": ("CODFee", "-CODFeeDiscount"),
    "TAX": ("ItemTax", "ShippingTax", "-PromotionDiscountTax", "-ShippingDiscountTax"),
    "DISCOUNT": ("PromotionDiscount", "ShippingDiscount"),
}


class OlderOrders:
    """Stands in for the newer operations."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def search(self, query: Mapping[str, Any], priority: sdk.Priority) -> Answer:
        """What `searchOrders` would answer to `query`."""
        asked: dict[str, Any] = {
            f"{name[0].upper()}{name[1:]}": query[name] for name in _BOUNDS if name in query
        }
        asked["MarketplaceIds"] = query["marketplaceIds"]
        asked["MaxResultsPerPage"] = min(PAGE_ORDERS, query["maxResultsPerPage"])
        if "fulfillmentStatuses" in query:
            asked["OrderStatuses"] = [_STATUSES[each] for each in query["fulfillmentStatuses"]]
        if "paginationToken" in query:
            asked["NextToken"] = query["paginationToken"]
        answer = self._client.run("getOrders", priority=priority, **asked)
        payload = answer.fields["payload"]
        orders = [self._whole(each, priority) for each in payload["Orders"]]
        fields: dict[str, Any] = {"orders": orders}
        if payload.get("NextToken"):
            fields["pagination"] = {"nextToken": payload["NextToken"]}
        if payload.get("LastUpdatedBefore"):
            fields["lastUpdatedBefore"] = payload["LastUpdatedBefore"]
        return Answer(fields=fields, at=answer.at)

    def get(self, order_id: str, priority: sdk.Priority) -> dict[str, Any]:
        """What `getOrder` would answer."""
        answer = self._client.ask("getOrderV0", _ORDER, order_id, priority=priority)
        order = answer.fields["payload"]
        if order["AmazonOrderId"] != order_id:
            raise sdk.BadPayload(f"Amazon answers another order than {order_id}")
        return self._whole(order, priority)

    def _whole(self, order: Mapping[str, Any], priority: sdk.Priority) -> dict[str, Any]:
        lines: list[Mapping[str, Any]] = []
        token: dict[str, str] = {}
        for _ in range(LINE_PAGES_MAX):
            payload = self._client.ask(
                "getOrderItems",
                f"{_ORDER}/orderItems",
                order["AmazonOrderId"],
                priority=priority,
                **token,
            ).fields["payload"]
            lines += payload["OrderItems"]
            if not payload.get("NextToken"):
                return newer(order, lines)
            token = {"NextToken": payload["NextToken"]}
        raise sdk.ChannelDown(f"the lines of {order['AmazonOrderId']} do not end")


def newer(order: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An order of v0 and its lines as the newer API shows them. Pure."""
    status = _NEWER.get(order["OrderStatus"], order["OrderStatus"])
    made: dict[str, Any] = {
        "orderId": order["AmazonOrderId"],
        "createdTime": order["PurchaseDate"],
        "lastUpdatedTime": order["LastUpdateDate"],
        "salesChannel": {"channelName": "AMAZON", "marketplaceId": order.get("MarketplaceId")},
        "programs": [name for field, name in _PROGRAMS.items() if order.get(field) is True],
        "fulfillment": _fulfilment(order, status),
        "orderItems": [_line(each, status) for each in lines],
    }
    if order.get("SellerOrderId"):
        alias = {"aliasId": order["SellerOrderId"], "aliasType": "SELLER_ORDER_ID"}
        made["orderAliases"] = [alias]
    if order.get("ReplacedOrderId"):
        kind = {"associationType": "REPLACEMENT_ORIGINAL_ID"}
        made["associatedOrders"] = [{"orderId": order["ReplacedOrderId"], **kind}]
    if order.get("OrderTotal"):
        made["proceeds"] = {"grandTotal": _money(order["OrderTotal"])}
    return made


def _fulfilment(order: Mapping[str, Any], status: str) -> dict[str, Any]:
    level = order.get("ShipmentServiceLevelCategory")
    made: dict[str, Any] = {
        "fulfillmentStatus": status,
        "fulfilledBy": _FULFILLED_BY.get(str(order.get("FulfillmentChannel"))),
    }
    if level:
        # Words run together there, and stand apart here.
        made["fulfillmentServiceLevel"] = "".join(
            f"_{each}" if each.isupper() and place else each for place, each in enumerate(level)
        ).upper()
    if order.get("LatestShipDate"):
        made["shipByWindow"] = {
            "earliestDateTime": order.get("EarliestShipDate"),
            "latestDateTime": order["LatestShipDate"],
        }
    return made


def _line(line: Mapping[str, Any], status: str) -> dict[str, Any]:
    ordered, shipped = line["QuantityOrdered"], line.get("QuantityShipped") or 0
    is_gone = status == "CANCELLED" and not ordered
    product = {"sellerSku": line.get("SellerSKU"), "title": line.get("Title")}
    made: dict[str, Any] = {
        "orderItemId": line["OrderItemId"],
        # Of a cancelled order v0 says nothing was ordered: what is known of that stays true.
        "quantityOrdered": None if is_gone else ordered,
        "product": product,
        "fulfillment": {
            "quantityFulfilled": shipped,
            "quantityUnfulfilled": 0 if status == "CANCELLED" else max(0, ordered - shipped),
        },
    }
    if line.get("IsTransparency") is True:
        made["programs"] = ["TRANSPARENCY"]
    if line.get("IossNumber"):
        customs = {"iossNumber": line["IossNumber"]}
        made["fulfillment"]["shipping"] = {"internationalShipping": customs}
    price = line.get("ItemPrice")
    if price and ordered:
        product["price"] = {"unitPrice": _unit_price(price, ordered)}
    rows = [_row(kind, fields, line) for kind, fields in _KINDS.items()]
    if price:
        made["proceeds"] = {"breakdowns": [row for row in rows if row]}
    asked = line.get("BuyerRequestedCancel") or {}
    if asked.get("IsBuyerRequestedCancel") == "true":
        made["cancellation"] = {"cancellationRequest": {"requester": "BUYER"}}
    return made


def _unit_price(price: Mapping[str, Any], units: int) -> dict[str, Any]:
    """v0 tells what a whole line costs; a unit of it, as exact as that was."""
    whole = Decimal(price["Amount"])
    unit = (whole / units).quantize(whole, ROUND_HALF_UP)
    return {"amount": f"{unit:f}", "currencyCode": price["CurrencyCode"]}


def _row(kind: str, fields: Sequence[str], line: Mapping[str, Any]) -> dict[str, Any] | None:
    total, currency = Decimal(0), ""
    for name in fields:
        sign: Callable[[Decimal], Decimal] = Decimal.copy_negate if name[0] == "-" else Decimal
        money = line.get(name.lstrip("-"))
        if money:
            total, currency = total + sign(Decimal(money["Amount"])), money["CurrencyCode"]
    if not currency:
        return None
    return {"type": kind, "subtotal": {"amount": f"{total:f}", "currencyCode": currency}}


def _money(money: Mapping[str, Any]) -> dict[str, Any]:
    return {"amount": money["Amount"], "currencyCode": money["CurrencyCode"]}
