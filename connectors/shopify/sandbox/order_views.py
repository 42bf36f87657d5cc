"""Orders and everything under them as the API shows them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from connectors.shopify.sandbox.gids import gid
from connectors.shopify.sandbox.paging import connection
from connectors.shopify.sandbox.schema import plain
from connectors.shopify.sandbox.views import Arguments, CatalogueViews, bag, base, stamp, times
from oms_sync.sdk.sandbox_records import (
    Dispatch,
    Hold,
    Line,
    Order,
    Refund,
    Return,
    Work,
    WorkLine,
)

_ACTIONS: Final = {
    "OPEN": ("CREATE_FULFILLMENT", "HOLD", "MOVE", "SPLIT"),
    "ON_HOLD": ("RELEASE_HOLD", "HOLD"),
}
_NOTHING: Final = Decimal(0)


def total(order: Order, *, current: bool) -> Decimal:
    units = ((line.variant.price, line.current, line.quantity) for line in order.lines)
    return sum((price * (now if current else first) for price, now, first in units), _NOTHING)


class OrderViews:
    """Views of orders, fulfilment orders, fulfilments and refunds."""

    def __init__(self, catalogue: CatalogueViews) -> None:
        self._catalogue = catalogue

    def order(self, order: Order) -> dict[str, Any]:
        lines, closed_at = order.lines, stamp(order.closed_at)
        is_any_left = any(line.current for line in lines)
        gateway = "bogus" if order.is_test else "shopify_payments"
        return (
            base("Order", order.id)
            | times(order)
            | {"name": order.name, "number": order.number, "processedAt": stamp(order.created_at)}
            | {"cancelledAt": stamp(order.cancelled_at), "cancelReason": order.cancel_reason}
            | {"closed": closed_at is not None, "closedAt": closed_at, "test": order.is_test}
            | {"edited": order.is_edited, "displayFinancialStatus": order.financial_status}
            | {"displayFulfillmentStatus": order.fulfilment_status, "fullyPaid": order.is_paid}
            | {"unpaid": not order.is_paid, "tags": list(order.tags)}
            | {"fulfillable": any(work.status == "OPEN" for work in order.work)}
            | {"restockable": is_any_left, "refundable": order.is_paid and is_any_left}
            | {"paymentGatewayNames": [gateway]}
            | {"email": order.buyer["email"], "phone": order.buyer["phone"]}
            | {"subtotalLineItemsQuantity": sum(line.quantity for line in lines)}
            | {"currentSubtotalLineItemsQuantity": sum(line.current for line in lines)}
            | self._money(order)
            | self._nested(order)
        )

    def _money(self, order: Order) -> dict[str, Any]:
        now = total(order, current=True)
        first_bag, now_bag, none = bag(total(order, current=False)), bag(now), bag(_NOTHING)
        refunded = sum((refund.amount for refund in order.refunds), _NOTHING)
        paid, owed = (now, _NOTHING) if order.is_paid else (_NOTHING, now)
        return (
            {"totalPriceSet": first_bag, "subtotalPriceSet": first_bag}
            | {"currentTotalPriceSet": now_bag, "currentSubtotalPriceSet": now_bag}
            | {"totalShippingPriceSet": none, "totalTaxSet": none, "currentTotalTaxSet": none}
            | {"totalDiscountsSet": none, "totalRefundedSet": bag(refunded)}
            | {"totalOutstandingSet": bag(owed), "netPaymentSet": bag(paid)}
        )

    def _nested(self, order: Order) -> dict[str, Any]:
        shipping = base("ShippingLine", order.id)
        shipping |= {"originalPriceSet": bag(_NOTHING), "discountedPriceSet": bag(_NOTHING)}
        buyer, address = order.buyer, self._address(order, "MailingAddress")
        name = {"firstName": buyer["first_name"], "lastName": buyer["last_name"]}
        customer = base("Customer", buyer["id"]) | name | {"displayName": address["name"]}
        return (
            {"customer": customer, "shippingAddress": address, "billingAddress": address}
            | {"shippingLine": shipping}
            | {"shippingLines": lambda given: connection([order], given, lambda _: shipping)}
            | {"lineItems": lambda given: connection(order.lines, given, self.line)}
            | {"refunds": _first(order.refunds, lambda each: self.refund(order, each))}
            | {"fulfillments": _first(order.dispatches, lambda each: self.dispatch(order, each))}
            | {"fulfillmentOrders": self._connected(order.work, order, self.work)}
        )

    def _connected(self, records: list[Any], order: Order, view: Any) -> Any:
        return lambda given: connection(records, given, lambda each: view(order, each))

    def _address(self, order: Order, kind: str) -> dict[str, Any]:
        buyer = order.buyer
        first, last, country = buyer["first_name"], buyer["last_name"], buyer["country_code"]
        return (
            plain()["Address"]
            | base(kind, buyer["id"])
            | {"name": f"{first} {last}", "firstName": first, "lastName": last}
            | {"address1": buyer["address1"], "city": buyer["city"], "zip": buyer["zip"]}
            | {"province": buyer["province"], "provinceCode": buyer["province_code"]}
            | {"country": buyer["country"], "countryCode": country, "countryCodeV2": country}
            | {"phone": buyer["phone"], "email": buyer["email"]}
        )

    def line(self, line: Line) -> dict[str, Any]:
        variant = line.variant
        price, whole = bag(variant.price), bag(variant.price * line.quantity)
        return (
            base("LineItem", line.id)
            | {"sku": variant.sku, "name": variant.title, "title": variant.title}
            | {"quantity": line.quantity, "currentQuantity": line.current}
            | {"unfulfilledQuantity": line.unfulfilled, "nonFulfillableQuantity": line.removed}
            | {"refundableQuantity": line.current, "restockable": line.current > 0}
            | {"variant": lambda _: self._catalogue.variant(variant)}
            | {"product": lambda _: self._catalogue.product(variant)}
            | {"originalUnitPriceSet": price, "discountedUnitPriceSet": price}
            | {"discountedUnitPriceAfterAllDiscountsSet": price, "originalTotalSet": whole}
            | {"discountedTotalSet": whole, "totalDiscountSet": bag(_NOTHING)}
        )

    def work(self, order: Order, work: Work) -> dict[str, Any]:
        place: dict[str, Any] = {"name": work.place.name, "countryCode": "US"}
        place |= {"location": self._catalogue.place(work.place)}
        done = [each for each in order.dispatches if work in each.work]
        return (
            base("FulfillmentOrder", work.id)
            | times(work)
            | {"status": work.status, "fulfillAt": stamp(order.created_at)}
            | {"order": lambda _: self.order(order), "orderId": gid("Order", order.id)}
            | {"orderName": order.name, "assignedLocation": place}
            | {"destination": self._address(order, "FulfillmentOrderDestination")}
            | {"supportedActions": [{"action": each} for each in _ACTIONS.get(work.status, ())]}
            | {"fulfillmentHolds": [self.hold(hold) for hold in work.holds]}
            | {"deliveryMethod": base("DeliveryMethod", work.id)}
            | {"lineItems": lambda given: connection(work.lines, given, self._work_line)}
            | {"fulfillments": self._connected(done, order, self.dispatch)}
        )

    def hold(self, hold: Hold) -> dict[str, Any]:
        shown = hold.reason.replace("_", " ").capitalize()
        return (
            base("FulfillmentHold", hold.id)
            | {"reason": hold.reason, "reasonNotes": hold.notes, "displayReason": shown}
            | {"handle": hold.label, "heldByRequestingApp": hold.is_ours}
        )

    def _work_line(self, work_line: WorkLine) -> dict[str, Any]:
        variant = work_line.line.variant
        return (
            base("FulfillmentOrderLineItem", work_line.id)
            | {"sku": variant.sku, "productTitle": variant.title}
            | {"inventoryItemId": gid("InventoryItem", variant.item_id)}
            | {"variant": lambda _: self._catalogue.variant(variant)}
            | {"totalQuantity": work_line.total, "remainingQuantity": work_line.remaining}
            | {"lineItem": lambda _: self.line(work_line.line)}
        )

    def dispatch(self, order: Order, dispatch: Dispatch) -> dict[str, Any]:
        status = ("CANCELLED", "CANCELED") if dispatch.is_cancelled else ("SUCCESS", "FULFILLED")
        lines = dispatch.lines
        return (
            base("Fulfillment", dispatch.id)
            | times(dispatch)
            | {"name": dispatch.name, "status": status[0], "displayStatus": status[1]}
            | {"order": lambda _: self.order(order)}
            | {"location": lambda _: self._catalogue.place(dispatch.work[0].place)}
            | {"totalQuantity": sum(line.quantity for line in lines)}
            | {"trackingInfo": _first(dispatch.packages, dict)}
            | {"fulfillmentLineItems": lambda given: connection(lines, given, self._line_sent)}
            | {"fulfillmentOrders": self._connected(dispatch.work, order, self.work)}
        )

    def sent(self, order: Order, number: int) -> dict[str, Any]:
        return self.dispatch(order, next(each for each in order.dispatches if each.id == number))

    def _line_sent(self, sent: Any) -> dict[str, Any]:
        line = sent.work_line.line
        own = {"quantity": sent.quantity, "lineItem": lambda _: self.line(line)}
        return base("FulfillmentLineItem", sent.id) | own

    def refund(self, order: Order, refund: Refund) -> dict[str, Any]:
        at = stamp(refund.created_at)
        return (
            base("Refund", refund.id)
            | {"createdAt": at, "updatedAt": at, "processedAt": at, "note": refund.note}
            | {"order": lambda _: self.order(order), "totalRefundedSet": bag(refund.amount)}
            | {"refundLineItems": lambda given: connection(refund.lines, given, self._return)}
        )

    def _return(self, back: Return) -> dict[str, Any]:
        place = None if back.place is None else self._catalogue.place(back.place)
        price = back.line.variant.price
        return (
            {"id": gid("RefundLineItem", back.id), "quantity": back.quantity, "location": place}
            | {"restockType": back.restock_type, "restocked": back.restock_type != "NO_RESTOCK"}
            | {"lineItem": lambda _: self.line(back.line), "priceSet": bag(price)}
            | {"subtotalSet": bag(price * back.quantity)}
        )


def _first(records: list[Any], view: Callable[[Any], Any]) -> Callable[[Arguments], list[Any]]:
    return lambda given: [view(each) for each in records[: given.get("first")]]
