"""Orders and everything under them as the API shows them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from connectors.shopify.sandbox.answers import GraphRefusal
from connectors.shopify.sandbox.gids import gid
from connectors.shopify.sandbox.merchant import GoodsBack, Part
from connectors.shopify.sandbox.paging import connection
from connectors.shopify.sandbox.schema import plain
from connectors.shopify.sandbox.views import Arguments, CatalogueViews, base, stamp, times
from oms_sync.sdk.sandbox_records import (
    Dispatch,
    Hold,
    Line,
    Order,
    Refund,
    Return,
    Variant,
    Work,
    WorkLine,
)

_ACTIONS: Final = {
    "SCHEDULED": ("MARK_AS_OPEN", "HOLD"),
    "OPEN": ("CREATE_FULFILLMENT", "HOLD", "MOVE", "SPLIT"),
    "ON_HOLD": ("RELEASE_HOLD", "HOLD"),
}
_NOTHING: Final = Decimal(0)
#: no scope of its own: what an app may not see of people until it was reviewed
PEOPLE: Final = "protected_customer_data"


def total(order: Order, *, current: bool) -> Decimal:
    units = ((line.variant.price, line.current, line.quantity) for line in order.lines)
    return sum((price * (now if current else first) for price, now, first in units), _NOTHING)


class OrderViews:
    """Views of orders, fulfilment orders, fulfilments and refunds."""

    def __init__(self, catalogue: CatalogueViews) -> None:
        self._catalogue, self._merchant = catalogue, catalogue.merchant
        self.merchant, self._bag = catalogue.merchant, catalogue.merchant.bag

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
            | {"returnStatus": self.return_status(order)}
            | {"presentmentCurrencyCode": self._merchant.shown_currency}
            | {"taxesIncluded": bool(self._merchant.tax_included_percent)}
            | self._merchant.dressed("Order", order.id)
        )

    def _returns(self, order: Order) -> Callable[[Arguments], Any]:
        def show(given: Arguments) -> Any:
            if "read_returns" in self._merchant.withheld_scopes:
                message = "Access denied for returns field. Required access: `read_returns`."
                raise GraphRefusal(message, "ACCESS_DENIED")
            known = self._merchant.returns.get(order.id, [])
            return connection(known, given, lambda each: self.back(order, each))

        return show

    def return_status(self, order: Order) -> str:
        returns = self._merchant.returns.get(order.id, [])
        if not returns:
            return "NO_RETURN"
        is_done = all(
            back.is_closed or sum(each.quantity for each in back.dispositions) >= back.quantity
            for back in returns
        )
        return "RETURNED" if is_done else "IN_PROGRESS"

    def _money(self, order: Order) -> dict[str, Any]:
        bag, shipping = self._merchant.bag, self._merchant.shipping_price
        first, now = total(order, current=False), total(order, current=True)
        goods, goods_now, none = bag(first), bag(now), bag(_NOTHING)
        refunded = sum((refund.amount for refund in order.refunds), _NOTHING)
        whole = now + shipping
        paid, owed = (whole, _NOTHING) if order.is_paid else (_NOTHING, whole)
        tax = self._merchant.tax
        return (
            {"totalPriceSet": bag(first + shipping), "subtotalPriceSet": goods}
            | {"currentTotalPriceSet": bag(whole), "currentSubtotalPriceSet": goods_now}
            | {"totalShippingPriceSet": bag(shipping), "totalTaxSet": bag(tax(first))}
            | {"currentTotalTaxSet": bag(tax(now))}
            | {"totalDiscountsSet": none, "totalRefundedSet": bag(refunded)}
            | {"totalOutstandingSet": bag(owed), "netPaymentSet": bag(paid)}
        )

    def _nested(self, order: Order) -> dict[str, Any]:
        shipping = base("ShippingLine", order.id)
        shipping |= {
            "originalPriceSet": self._bag(_NOTHING),
            "discountedPriceSet": self._bag(_NOTHING),
        }
        buyer, address = order.buyer, self._address(order, "MailingAddress")
        name = {"firstName": buyer["first_name"], "lastName": buyer["last_name"]}
        customer = base("Customer", buyer["id"]) | name | {"displayName": address["name"]}
        return (
            {"customer": self._guarded("customer", "read_customers", customer)}
            | {"shippingAddress": self._guarded("shippingAddress", PEOPLE, address)}
            | {"billingAddress": self._guarded("billingAddress", PEOPLE, address)}
            | {"shippingLine": shipping}
            | {"shippingLines": lambda given: connection([order], given, lambda _: shipping)}
            | {"lineItems": lambda given: connection(order.lines, given, self.line)}
            | {"refunds": _first(order.refunds, lambda each: self.refund(order, each))}
            | {"fulfillments": _first(order.dispatches, lambda each: self.dispatch(order, each))}
            | {"fulfillmentOrders": self._connected(self._shown_work(order), order, self.work)}
            | {"transactions": _first(self._transactions(order), dict)}
            | {"returns": self._returns(order)}
            | {"suggestedRefund": lambda given: self._suggested(order, given)}
        )

    def _shown_work(self, order: Order) -> list[Work]:
        return [work for work in order.work if self._merchant.shows(work)]

    def _guarded(self, field: str, scope: str, value: Any) -> Callable[[Arguments], Any]:
        """A field that names a scope: without it an error stands beside the rest."""

        def show(_: Arguments) -> Any:
            if scope in self._merchant.withheld_scopes:
                message = f"Access denied for {field} field. Required access: `{scope}`."
                raise GraphRefusal(message, "ACCESS_DENIED")
            return value

        return show

    def _transactions(self, order: Order) -> list[dict[str, Any]]:
        merchant = self._merchant
        made = [
            _transaction(own, "SALE", None) | {"amountSet": merchant.bag(amount)}
            for own, amount in merchant.paid(order)
        ]
        return made + [each for refund in order.refunds for each in self._repaid(order, refund)]

    def _repaid(self, order: Order, refund: Refund) -> list[dict[str, Any]]:
        parts = self._merchant.parts_of(order, refund)
        return [
            _transaction(gid("OrderTransaction", refund.id + number), "REFUND", part)
            | {"amountSet": self._bag(part.shop)}
            for number, part in enumerate(parts)
        ]

    def _suggested(self, order: Order, given: Arguments) -> dict[str, Any]:
        lines = {gid("LineItem", line.id): line for line in order.lines}
        asked = given.get("refundLineItems") or []
        worth = sum(
            (lines[each["lineItemId"]].variant.price * each["quantity"] for each in asked), _NOTHING
        )
        left = sum(self._merchant.left(order).values(), _NOTHING) / self._merchant.rate
        return {"amountSet": self._bag(min(worth, left))}

    def reverse(self, back: GoodsBack) -> dict[str, Any]:
        """The goods of one return: one line."""
        shown = {
            "totalQuantity": back.quantity,
            "fulfillmentLineItem": lambda _: self._line_sent(back.sent),
            "dispositions": [
                base("ReverseFulfillmentOrderDisposition", each.id)
                | {"type": each.kind, "quantity": each.quantity}
                | {"createdAt": stamp(back.created_at)}
                | {"location": each.place and self._catalogue.place(each.place)}
                for each in back.dispositions
            ],
        }
        line = base("ReverseFulfillmentOrderLineItem", back.id) | shown
        return base("ReverseFulfillmentOrder", back.id) | {
            "lineItems": lambda given: connection([back], given, lambda _: line)
        }

    def back(self, order: Order, back: GoodsBack) -> dict[str, Any]:
        """One return: its own reverse fulfilment order with one line."""
        own = {"name": f"{order.name}-R1", "createdAt": stamp(back.created_at)}
        own["status"] = "CLOSED" if back.is_closed else "OPEN"
        reverses = {
            "reverseFulfillmentOrders": lambda given: connection([back], given, self.reverse)
        }
        return base("Return", back.id) | own | reverses

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
        price, whole = (
            self._bag(variant.price),
            self._bag(variant.price * line.quantity),
        )
        return (
            base("LineItem", line.id)
            | {"sku": variant.sku, "name": variant.title, "title": variant.title}
            | {"quantity": line.quantity, "currentQuantity": line.current}
            | {"unfulfilledQuantity": line.unfulfilled, "nonFulfillableQuantity": line.removed}
            | {"refundableQuantity": line.current, "restockable": line.current > 0}
            | {"variant": lambda _: self._variant(variant)}
            | {"product": lambda _: self._catalogue.product(variant)}
            | {"originalUnitPriceSet": price, "discountedUnitPriceSet": price}
            | {"discountedUnitPriceAfterAllDiscountsSet": price, "originalTotalSet": whole}
            | {"discountedTotalSet": whole, "totalDiscountSet": self._bag(_NOTHING)}
            | self._merchant.dressed("LineItem", line.id)
        )

    def _variant(self, variant: Variant) -> dict[str, Any] | None:
        return self._catalogue.variant(variant) if self._merchant.is_real(variant) else None

    def work(self, order: Order, work: Work) -> dict[str, Any]:
        place: dict[str, Any] = {"name": work.place.name, "countryCode": "US"}
        place |= {"location": self._catalogue.place(work.place)}
        done = [each for each in order.dispatches if work in each.work]
        status = self._merchant.status(work)
        due = self._merchant.schedule.get(work.id, order.created_at)
        return (
            base("FulfillmentOrder", work.id)
            | times(work)
            | {"status": status, "fulfillAt": stamp(due)}
            | {"order": lambda _: self.order(order), "orderId": gid("Order", order.id)}
            | {"orderName": order.name, "assignedLocation": place}
            | {"destination": self._address(order, "FulfillmentOrderDestination")}
            | {"supportedActions": [{"action": each} for each in _ACTIONS.get(status, ())]}
            | {"fulfillmentHolds": [self.hold(hold) for hold in work.holds]}
            | {
                "deliveryMethod": base("DeliveryMethod", work.id)
                | self._merchant.dressed("DeliveryMethod", work.id)
            }
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
        at, repaid = stamp(refund.created_at), self._repaid(order, refund)
        back = self._merchant.refund_returns.get(refund.id)
        return (
            base("Refund", refund.id)
            | {"createdAt": at, "updatedAt": at, "processedAt": at, "note": refund.note}
            | {
                "order": lambda _: self.order(order),
                "totalRefundedSet": self._bag(refund.amount),
            }
            | {"refundLineItems": lambda given: connection(refund.lines, given, self._return)}
            | {"transactions": lambda given: connection(repaid, given, dict, lambda _: (0, 0))}
            | {"return": back and base("Return", back.id)}
        )

    def _return(self, back: Return) -> dict[str, Any]:
        place = None if back.place is None else self._catalogue.place(back.place)
        price = back.line.variant.price
        return (
            {"id": gid("RefundLineItem", back.id), "quantity": back.quantity, "location": place}
            | {"restockType": back.restock_type, "restocked": back.restock_type != "NO_RESTOCK"}
            | {"lineItem": lambda _: self.line(back.line), "priceSet": self._bag(price)}
            | {"subtotalSet": self._bag(price * back.quantity)}
        )


def _transaction(own: str, kind: str, part: Part | None) -> dict[str, Any]:
    return {
        "__typename": "OrderTransaction",
        "id": own,
        "kind": kind,
        "status": "SUCCESS",
        "gateway": "shopify_payments",
        "parentTransaction": part and {"__typename": "OrderTransaction", "id": part.parent},
    }


def _first(records: list[Any], view: Callable[[Any], Any]) -> Callable[[Arguments], list[Any]]:
    return lambda given: [view(each) for each in records[: given.get("first")]]
