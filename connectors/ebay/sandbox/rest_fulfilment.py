"""The Fulfilment API: one order by id, and refunds of it: taken in at once, done a little later.

Orders whose payment is pending do not exist here.
"""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from connectors.ebay.sandbox.books import (
    Books,
    MoneyBack,
    Sheet,
    is_cancelled,
    is_gone,
    subtotal,
)
from connectors.ebay.sandbox.markup import CURRENCY, stamp
from connectors.ebay.sandbox.order_views import SHIPPING
from connectors.ebay.sandbox.rest import USER, RestCall, make_door, refuse_unknown, show
from connectors.ebay.sandbox.wrongs import RestError
from oms_sync.sdk.sandbox_records import Line, Order, Refund
from oms_sync.sdk.sandbox_wire import Reply

#: a numeric id of its own, beside the OrderLineItemID
_LINE_PREFIX: Final = "10"
_DELIVERED_WITHIN: Final = timedelta(days=5)
_NOTHING: Final = Decimal(0)
_MONEY: Final = re.compile(r"\d{1,9}(\.\d{1,2})?")
_REFUND: Final = frozenset({"reasonForRefund", "comment", "orderLevelRefundAmount", "refundItems"})
_REFUND_TAKES: Final = timedelta(seconds=2)
COMMENT_MAX: Final = 100
REASONS: Final = frozenset(
    "BUYER_CANCEL BUYER_RETURN ITEM_NOT_AS_DESCRIBED ITEM_NOT_RECEIVED OTHER_ADJUSTMENT "
    "SELLER_CANCEL SHIPPING_DISCOUNT".split()
)


def rest_line_id(line: Line) -> str:
    """`lineItemId`: not the OrderLineItemID."""
    return f"{_LINE_PREFIX}{line.id}"


class FulfilmentDoors:
    """The operations."""

    def __init__(self, books: Books) -> None:
        self._books, self._store = books, books.store
        where, api = "/sell/fulfillment/v1/order/{order}", ("sell", "fulfillment")
        refund = f"POST {where}/issue_refund"
        self.doors = (
            make_door("issueRefund", refund, self._refund, api, USER),
            make_door("getOrder", f"GET {where}", self._get, api, USER),
        )

    def _order(self, call: RestCall) -> tuple[Order, Sheet]:
        """Orders whose payment is pending do not exist here."""
        order = self._books.find(call.path[0])
        if order is None or not order.is_paid or order.visible_at > self._store.now():
            raise RestError(32100)
        return order, self._books.sheets[order.id]

    def _get(self, call: RestCall) -> Reply:
        order, sheet = self._order(call)
        items = subtotal(order, sheet)
        total, payment = items + SHIPPING, _payment(order)
        cancelled = is_cancelled(order)
        lines = [line for line in order.lines if cancelled or not is_gone(line)]
        shipped = [line for line in lines if line.id in sheet.shipped_at]
        state = "NOT_STARTED" if not shipped else "IN_PROGRESS"
        shown: dict[str, Any] = {"orderId": sheet.name}
        shown |= {"creationDate": stamp(order.created_at)}
        shown |= {"lastModifiedDate": stamp(order.updated_at)}
        shown |= {"orderFulfillmentStatus": "FULFILLED" if shipped == lines else state}
        shown |= {"orderPaymentStatus": payment, "sellerId": self._store.options.account}
        shown |= {"buyer": _buyer(order), "totalFeeBasisAmount": _amount(total)}
        shown |= {"fulfillmentStartInstructions": [{"fulfillmentInstructionsType": "SHIP_TO"}]}
        parts = {"priceSubtotal": _amount(items), "deliveryCost": _amount(SHIPPING)}
        shown |= {"pricingSummary": parts | {"total": _amount(total)}}
        paid = {"amount": _amount(total), "paymentMethod": "CREDIT_CARD", "paymentStatus": "PAID"}
        refunds = self._refunds(order, sheet)
        due = total - sum(each.amount for each in order.refunds)
        payments = {"payments": [paid], "refunds": refunds, "totalDueSeller": _amount(due)}
        shown |= {"paymentSummary": payments}
        cancel = "CANCELED" if cancelled else "NONE_REQUESTED"
        shown |= {"cancelStatus": {"cancelState": cancel, "cancelRequests": []}}
        promised = stamp(order.created_at + _DELIVERED_WITHIN)
        listed = [self._line(sheet, line, promised, line is lines[0]) for line in lines]
        return show(200, shown | {"lineItems": listed})

    def _refunds(self, order: Order, sheet: Sheet) -> list[dict[str, Any]]:
        """Those of the order as a whole; those of lines stand at the lines."""
        by_api = {each.refund.id: each for each in sheet.refunds}
        shown = []
        for each in order.refunds:
            known = by_api.get(each.id)
            if known is not None and known.line is not None:
                continue
            state = "REFUNDED"
            if known is not None and known.done_at > self._store.now():
                state = "PENDING"
            elif known is not None and known.is_failed:
                state = "FAILED"
            entry: dict[str, Any] = {"amount": _amount(each.amount), "refundStatus": state}
            if known is not None:  # those made by hand have a reference alone
                entry |= {"refundId": str(each.id)}
            if state == "REFUNDED":  # neither is there before
                entry |= {"refundDate": stamp(each.created_at)}
                entry |= {"refundReferenceId": f"{each.id}00"}
            shown.append(entry)
        return shown

    def _refund(self, call: RestCall) -> Reply:
        order, sheet = self._order(call)
        refuse_unknown(call.body, _REFUND, 34904)
        if call.body.get("reasonForRefund") not in REASONS:
            raise RestError(34903)
        if len(call.body.get("comment") or "") > COMMENT_MAX:
            raise RestError(34921)
        now = self._store.now()
        if any(each.done_at > now for each in sheet.refunds):
            raise RestError(34922)
        parts = self._parts(call.body, order)
        amount = sum((part for _, part in parts), _NOTHING)
        given = sum((each.amount for each in order.refunds), _NOTHING)
        whole = subtotal(order, sheet) + SHIPPING
        if given >= whole or is_cancelled(order):
            raise RestError(34917)
        if given + amount > whole:
            raise RestError(34915)
        number = self._store.next_id()
        if not self._store.faults.fires("F09"):
            self._pay_back(number, order, parts, call.body.get("comment"))
        return show(200, {"refundId": str(number), "refundStatus": "PENDING"})

    def _parts(self, body: Any, order: Order) -> list[tuple[Line | None, Decimal]]:
        whole, listed = body.get("orderLevelRefundAmount"), body.get("refundItems")
        if (whole is None) == (not listed):
            raise RestError(34905)
        if whole is not None:
            return [(None, _price(whole))]
        parts: list[tuple[Line | None, Decimal]] = []
        for each in listed:
            reference = each.get("legacyReference") or {}
            name = f"{reference.get('legacyItemId')}-{reference.get('legacyTransactionId')}"
            line = _line_of(name, order.lines, self._books)
            parts.append((line, _price(each.get("refundAmount"))))
        return parts

    def _pay_back(
        self, number: int, order: Order, parts: list[tuple[Line | None, Decimal]], note: Any
    ) -> None:
        """Money only: no unit goes anywhere."""
        store, sheet = self._store, self._books.sheets[order.id]
        amount = sum((part for _, part in parts), _NOTHING)
        refund = Refund(id=number, lines=[], note=note, created_at=store.second(), amount=amount)
        done_at = store.now() + _REFUND_TAKES
        fails = self._books.fails_refunds
        sheet.refunds += [
            MoneyBack(refund=refund, line=line, amount=part, done_at=done_at, is_failed=fails)
            for line, part in parts
        ]
        order.refunds.append(refund)
        store.touch(order)
        store.tell("order.refunded", order, refund)
        store.changed(order)

    def _line(
        self, sheet: Sheet, line: Line, promised: str | None, is_first: bool
    ) -> dict[str, Any]:
        units, is_shipped = sheet.purchased[line.id], line.id in sheet.shipped_at
        state = "FULFILLED" if is_shipped else "NOT_STARTED"
        item, _, _ = self._books.line_name(line).partition("-")
        shown: dict[str, Any] = {"lineItemId": rest_line_id(line), "legacyItemId": item}
        shown |= {"quantity": units, "sku": line.variant.sku, "title": line.variant.title}
        cost, shipping = line.variant.price * units, SHIPPING if is_first else _NOTHING
        shown |= {"lineItemCost": _amount(cost), "total": _amount(cost + shipping)}
        shown |= {"deliveryCost": {"shippingCost": _amount(shipping)}}
        span = {"minEstimatedDeliveryDate": promised, "maxEstimatedDeliveryDate": promised}
        shown |= {"lineItemFulfillmentInstructions": span | {"guaranteedDelivery": False}}
        shown |= {"listingMarketplaceId": "EBAY_US", "purchaseMarketplaceId": "EBAY_US"}
        shown |= {"soldFormat": "FIXED_PRICE", "properties": {"buyerProtection": True}}
        refunds = [self._part(each) for each in sheet.refunds if each.line is line]
        shown |= {"appliedPromotions": [], "refunds": refunds, "taxes": []}
        return shown | {"lineItemFulfillmentStatus": state}

    def _part(self, one: MoneyBack) -> dict[str, Any]:
        """A line's part of a refund: dated once it is paid, and without any other state."""
        shown: dict[str, Any] = {"amount": _amount(one.amount), "refundId": str(one.refund.id)}
        if one.done_at <= self._store.now() and not one.is_failed:
            shown |= {"refundDate": stamp(one.refund.created_at)}
        return shown


def _line_of(name: str, lines: list[Line], books: Books) -> Line:
    found = [line for line in lines if books.line_name(line) == name]
    if not found:
        raise RestError(34914)
    return found[0]


def _price(given: Any) -> Decimal:
    value = given.get("value") if isinstance(given, dict) else None
    if not isinstance(value, str) or not _MONEY.fullmatch(value) or Decimal(value) <= 0:
        raise RestError(34906)
    if given.get("currency") != CURRENCY:
        raise RestError(34907)
    return Decimal(value)


def _buyer(order: Order) -> dict[str, Any]:
    """Masked, as eBay shows buyers to most applications."""
    address = {"addressLine1": "Masked", "city": "Masked", "countryCode": "US"}
    registered = {"contactAddress": address, "fullName": "Masked"}
    shown: dict[str, Any] = {"username": f"buyer_{order.number}", "taxAddress": {}}
    return shown | {"buyerRegistrationAddress": registered}


def _payment(order: Order) -> str:
    if is_cancelled(order):
        return "FULLY_REFUNDED"
    return "PARTIALLY_REFUNDED" if order.refunds else "PAID"


def _amount(amount: Any) -> dict[str, str]:
    return {"value": f"{amount:.2f}", "currency": CURRENCY}
