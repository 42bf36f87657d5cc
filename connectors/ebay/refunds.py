"""Refunds: what eBay knows of an order's, and sending money back.

eBay takes no key that would make a second attempt harmless: whoever asks again has looked before.
It says of a refund how much, when and whether it is done, and not for how many units.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from connectors.ebay import render
from connectors.ebay.client import Client
from connectors.ebay.ids import is_order_id
from connectors.ebay.orders import OrderReader
from connectors.ebay.rest import (
    STATUS_CONFLICT,
    STATUS_NOT_FOUND,
    RestCall,
    error_codes,
    errors_text,
)
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment

BASE: Final = "/sell/fulfillment/v1/order"
KIND: Final = "refund"
#: a refund of this order is still under way: the next one has to wait
BUSY_CODES: Final = frozenset({"34922"})
_STATES: Final[Mapping[str, Literal["pending", "done", "failed"]]] = {
    "PENDING": "pending",
    "REFUNDED": "done",
    "FAILED": "failed",
}
_STATUS_BAD: Final = 400
_WRITE: Final = sdk.Priority.WRITE


class RefundDesk:
    """Everything about refunds for one account."""

    def __init__(self, client: Client, orders: OrderReader, reasons: sdk.MappingTable) -> None:
        self._client, self._orders = client, orders
        self._reasons: Mapping[str, str] = reasons.reverse().entries

    def read(self, channel_order_id: str) -> tuple[sdk.ChannelRefund, ...]:
        """Every refund of the order; of one that is not paid there is none."""
        order = self._order(channel_order_id)
        return read_refunds(order) if order else ()

    def refund(self, refund: sdk.OutgoingRefund) -> str | None:
        """Send money back; the receipt is followed where eBay says that it is under way."""
        order = self._order(refund.channel_order_id)
        if order is None:
            raise sdk.Rejected(
                f"eBay has no paid order {refund.channel_order_id}: there is nothing to pay back"
            )
        order_id, lines = str(order["orderId"]), order.get("lineItems") or []
        call = RestCall(
            method="POST",
            path=f"{BASE}/{order_id}/issue_refund",
            operation="fulfillment",
            payload=render.refund(
                refund, self._reasons.get(refund.reason), is_single=len(lines) == 1
            ),
            is_write=True,
            allowed=frozenset({_STATUS_BAD, STATUS_CONFLICT}),
            is_signed=True,
        )
        answer = self._client.rest.call(call, priority=_WRITE)
        if error_codes(answer.fields) & BUSY_CODES:
            raise sdk.ChannelDown("eBay is still at an earlier refund of this order")
        if answer.status >= _STATUS_BAD:
            raise sdk.Rejected(f"issue_refund: {errors_text(answer.fields)}")
        state, refund_id = answer.fields.get("refundStatus"), answer.fields.get("refundId")
        if state == "FAILED":
            raise sdk.Rejected("eBay could not pay the refund: see the order at eBay")
        if not refund_id:
            raise sdk.OutcomeUnknown("eBay does not name the refund it made")
        return f"{KIND}/{order_id}/{refund_id}" if state == "PENDING" else None

    def follow(self, order_id: str, refund_id: str) -> bool:
        """True once the money is on its way."""
        found = (one for one in self.read(order_id) if one.channel_refund_id == refund_id)
        known = next(found, None)
        if known is not None and known.state == "failed":
            raise sdk.Rejected("eBay could not pay the refund: see the order at eBay")
        return known is not None and known.state == "done"

    def _order(self, channel_order_id: str) -> Mapping[str, Any] | None:
        """The order as REST shows it, by any of its ids; None where it is not paid, or unknown."""
        order = self._get(channel_order_id)
        if order is None:
            known = self._orders.nodes([channel_order_id], _WRITE).get(channel_order_id)
            name = known.text("OrderID") if known else None
            order = self._get(name) if name and name != channel_order_id else None
        return order

    def _get(self, order_id: str) -> Mapping[str, Any] | None:
        if not is_order_id(order_id):
            return None
        call = RestCall(
            method="GET",
            path=f"{BASE}/{order_id}",
            operation="fulfillment",
            allowed=frozenset({STATUS_NOT_FOUND, _STATUS_BAD}),
        )
        answer = self._client.rest.call(call, priority=_WRITE)
        return answer.fields if answer.status < _STATUS_BAD else None


def read_refunds(order: Mapping[str, Any]) -> tuple[sdk.ChannelRefund, ...]:
    """The refunds of an order as getOrder shows it: of the order, and of its lines.

    One refund for several lines stands at each of them with its part; where the order shows it,
    too, the parts are in that amount.
    """
    listed = (order.get("paymentSummary") or {}).get("refunds") or ()
    found = {_id_of(each): each for each in listed}
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for line in order.get("lineItems") or ():
        for each in line.get("refunds") or ():
            parts.setdefault(_id_of(each), []).append(each)
    whole = [_refund(refund_id, [each]) for refund_id, each in found.items()]
    alone = [_refund(one, entries) for one, entries in parts.items() if one not in found]
    return tuple(sorted((*whole, *alone), key=lambda one: (one.at, one.channel_refund_id)))


def _refund(refund_id: str, entries: list[Mapping[str, Any]]) -> sdk.ChannelRefund:
    return sdk.ChannelRefund(
        channel_refund_id=refund_id,
        amount=_total(_amount(each["amount"]) for each in entries),
        # A line's entry says nothing of its state: it stands there once it is done.
        state=_STATES.get(entries[0].get("refundStatus") or "REFUNDED", "pending"),
        at=moment(entries[0]["refundDate"]),
    )


def _id_of(entry: Mapping[str, Any]) -> str:
    """Its id; a refund made by hand at eBay has only a reference, or a time and an amount."""
    named = entry.get("refundId") or entry.get("refundReferenceId")
    return str(named or f"{entry.get('refundDate')} {entry['amount'].get('value')}")


def _amount(given: Mapping[str, Any]) -> sdk.Money:
    """In the currency the buyer's order is in; eBay may show the seller's own beside it."""
    if given.get("convertedFromValue"):
        return sdk.Money.parse(given["convertedFromValue"], given["convertedFromCurrency"])
    return sdk.Money.parse(given["value"], given["currency"])


def _total(amounts: Iterable[sdk.Money]) -> sdk.Money:
    first, *others = amounts
    return sum(others, first)
