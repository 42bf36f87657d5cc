"""Mutations of orders: cancellation, refunds, tags; fulfilments are in `changes_work`."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from connectors.shopify.sandbox.answers import Payload
from connectors.shopify.sandbox.changes_work import Wrong, checked
from connectors.shopify.sandbox.gids import gid, number_of
from connectors.shopify.sandbox.merchant import CURRENCY, Part
from connectors.shopify.sandbox.order_views import OrderViews
from connectors.shopify.sandbox.views import Arguments
from oms_sync.sdk.sandbox_records import Order, Return
from oms_sync.sdk.sandbox_sales import Sales
from oms_sync.sdk.sandbox_store import Store

NOTE_MAX: Final = 255
JOB_SECONDS: Final = 0.3

Later = Callable[[float, Callable[[], None]], None]


class OrderChanges:
    """Resolvers; `later` runs the asynchronous jobs."""

    def __init__(self, store: Store, sales: Sales, views: OrderViews, later: Later) -> None:
        self._store, self._sales, self._views, self._later = store, sales, views, later
        self._merchant = views.merchant
        self.root = {
            "orderCancel": checked(self._cancel),
            "refundCreate": checked(self._refund),
            "tagsAdd": checked(self._add_tags),
        }

    def _order(self, value: str, field: str) -> Order:
        order = self._store.orders.get(number_of(value, "Order"))
        if order is None:
            raise Wrong([field], "Order does not exist", "NOT_FOUND")
        return order

    def _cancel(self, given: Arguments) -> Payload:
        order = self._order(given["orderId"], "orderId")
        _check_cancel(order, given)
        job = gid("Job", self._store.next_id())
        self._store.jobs[job] = False

        known = len(order.refunds)

        def finish() -> None:
            self._store.jobs[job] = True
            if order.cancelled_at is None and not any(line.fulfilled for line in order.lines):
                restock, reason = given["restock"], given["reason"]
                self._sales.cancel(str(order.id), restock=restock, reason=reason)
                if not (given.get("refundMethod") or {}).get("originalPaymentMethodsRefund", True):
                    for refund in order.refunds[known:]:
                        refund.amount = Decimal(0)

        self._later(JOB_SECONDS, finish)
        return Payload(job={"id": job, "done": False}, orderCancelUserErrors=[], userErrors=[])

    def _refund(self, given: Arguments) -> Payload:
        wanted = given["input"]
        order = self._order(wanted["orderId"], "orderId")
        lines = {gid("LineItem", line.id): line for line in order.lines}
        asked = wanted.get("refundLineItems") or []
        for at, entry in enumerate(asked):
            line, field = lines.get(entry["lineItemId"]), ["refundLineItems", str(at)]
            if line is None:
                raise Wrong([*field, "lineItemId"], "Line item does not exist")
            if not 0 < entry["quantity"] <= line.current:
                message = "Quantity cannot refund more items than were purchased"
                raise Wrong([*field, "quantity"], message)
        parts = self._parts(order, wanted)
        returns: list[Return] = []
        for entry in asked:
            place_id = entry.get("locationId")
            place = self._store.place(number_of(place_id, "Location")) if place_id else None
            how = (entry.get("restockType") or "NO_RESTOCK", place)
            line = lines[entry["lineItemId"]]
            returns += self._sales.take_back(order, line, entry["quantity"], how)
        refund = self._sales.record_refund(order, returns, wanted.get("note"))
        if "transactions" in wanted:
            refund.amount = sum((part.shop for part in parts), Decimal(0))
            self._merchant.parts[refund.id] = parts
        self._store.changed(order)
        shown = self._views.refund(order, refund)
        return Payload(order=self._views.order(order), refund=shown, userErrors=[])

    def _parts(self, order: Order, wanted: Arguments) -> list[Part]:
        """The money asked back, payment by payment; refused where it is not there."""
        merchant, parts = self._merchant, list[Part]()
        asked = wanted.get("transactions") or []
        if asked and wanted.get("currency") != merchant.shown_currency != CURRENCY:
            raise Wrong(["currency"], "Currency must be the presentment currency of the order")
        left = merchant.left(order)
        for entry in asked:
            parent, shown = entry.get("parentId"), Decimal(entry["amount"])
            if entry["kind"] != "REFUND" or parent not in left or shown <= 0:
                raise Wrong(["transactions"], "Transactions must refund a payment of the order")
            if shown > left[parent]:
                message = f"Refund amount ${shown:.2f} is greater than net payment received"
                raise Wrong(None, f"{message} ${left[parent]:.2f}")
            left[parent] -= shown
            shop = (shown / merchant.rate).quantize(Decimal("0.01"))
            parts.append(Part(parent=parent, shop=shop, shown=shown))
        shipping = Decimal((wanted.get("shipping") or {}).get("amount") or 0)
        if shipping > merchant.shipping_price * merchant.rate:
            raise Wrong(["shipping"], "Shipping amount is greater than what was paid for shipping")
        return parts

    def _add_tags(self, given: Arguments) -> Payload:
        order = self._order(given["id"], "id")
        tags = sorted({*order.tags, *given["tags"]})
        if tags != order.tags:
            order.tags = tags
            self._store.changed(order)
        return Payload(node=self._views.order(order), userErrors=[])


def _check_cancel(order: Order, given: Arguments) -> None:
    if order.cancelled_at is not None:
        message = "Cannot cancel an order that has already been canceled"
        raise Wrong(["orderId"], message, "INVALID")
    if any(line.fulfilled for line in order.lines):
        message = "Cannot cancel an order that has outstanding fulfillments"
        raise Wrong(["orderId"], message, "INVALID")
    if len(given.get("staffNote") or "") > NOTE_MAX:
        message = "Staff note is too long. Maximum length is 255 characters."
        raise Wrong(["staffNote"], message, "INVALID")
    if "refund" in given and "refundMethod" in given:
        message = "Only one of the arguments `refund` or `refund_method` is allowed."
        raise Wrong(["refund"], message, "INVALID")
