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
#: nothing is wrong with the refund, it is only too early: another of this order is under way, the
#: buyer's money has not come yet, or the seller's account is at its limit
EARLY_CODES: Final = frozenset({"34922", "34929", "34930"})
_UNKNOWN_CODES: Final = frozenset({"32100"})
_STATES: Final[Mapping[str, Literal["pending", "done", "failed"]]] = {
    "PENDING": "pending",
    "REFUNDED": "done",
    "FAILED": "failed",
}
_STATUS_BAD: Final = 400
_EARLY: Final = "eBay pays nothing back of this order yet, the hub tries again"
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
        if error_codes(answer.fields) & EARLY_CODES:
            # Of this order alone: the account's other writes go on, and this one comes again.
            raise sdk.FixData(f"{_EARLY}: {errors_text(answer.fields)}")
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
        """The order as REST shows it, by any of its ids; None where it is not paid, or unknown.

        Of a paid order REST does not show, nobody knows what was paid back: nothing is sent then.
        """
        if (order := self._get(channel_order_id)) is not None:
            return order
        known = self._orders.nodes([channel_order_id], _WRITE).get(channel_order_id)
        name = known.text("OrderID") if known else None
        order = self._get(name) if name and name != channel_order_id else None
        if order is None and known is not None and known.text("PaidTime"):
            raise sdk.FixData(f"eBay shows order {channel_order_id} as paid and not its refunds")
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
        if answer.status < _STATUS_BAD:
            return answer.fields
        if answer.status == _STATUS_BAD and not error_codes(answer.fields) & _UNKNOWN_CODES:
            raise sdk.Bug(f"getOrder: {errors_text(answer.fields)}")
        return None


def read_refunds(order: Mapping[str, Any]) -> tuple[sdk.ChannelRefund, ...]:
    """The refunds of an order as getOrder shows it: of the order, and of its lines.

    One refund for several lines stands at each of them with its part; where the order shows it,
    too, the parts are in that amount.
    """
    listed = (order.get("paymentSummary") or {}).get("refunds") or ()
    found = {_id_of(each): [each] for each in listed}
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for line in order.get("lineItems") or ():
        for each in line.get("refunds") or ():
            parts.setdefault(_id_of(each), []).append(each)
    shown_at = order.get("lastModifiedDate") or order.get("creationDate") or ""
    refunds = [_refund(name, each, shown_at) for name, each in {**parts, **found}.items()]
    return tuple(sorted(refunds, key=lambda one: (one.at, one.channel_refund_id)))


def _refund(name: str, entries: list[Mapping[str, Any]], shown_at: str) -> sdk.ChannelRefund:
    """A refund has a date from the moment it is paid; a line's entry has no other state."""
    dates = [each["refundDate"] for each in entries if each.get("refundDate")]
    state = "REFUNDED" if len(dates) == len(entries) else "PENDING"
    return sdk.ChannelRefund(
        channel_refund_id=name,
        amount=_total(_amount(each["amount"]) for each in entries),
        state=_STATES.get(entries[0].get("refundStatus") or state, "pending"),
        at=moment(min(dates, default=shown_at)),
    )


def _id_of(entry: Mapping[str, Any]) -> str:
    """Its id; a refund made by hand at eBay has only a reference, or a time and an amount.

    Before it is paid it has none of these: it cannot be told from another one then.
    """
    named = entry.get("refundId") or entry.get("refundReferenceId")
    if named is None and not entry.get("refundDate") and entry.get("refundStatus") != "FAILED":
        raise sdk.FixData(f"{_EARLY}: a refund made at eBay is under way")
    return str(named or f"{entry.get('refundDate')} {entry['amount'].get('value')}")


def _amount(given: Mapping[str, Any]) -> sdk.Money:
    """In the currency the buyer's order is in; eBay may show the seller's own beside it."""
    if given.get("convertedFromValue"):
        return sdk.Money.parse(given["convertedFromValue"], given["convertedFromCurrency"])
    return sdk.Money.parse(given["value"], given["currency"])


def _total(amounts: Iterable[sdk.Money]) -> sdk.Money:
    first, *others = amounts
    return sum(others, first)
