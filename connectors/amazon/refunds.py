"""Money back: sent as a payment adjustment feed, read from Amazon's financial events.

Events may come two days late: until then a refund Amazon has accepted is known by our own note.
Nothing is ever sent twice under one key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from connectors.amazon import documents
from connectors.amazon.client import Client
from connectors.amazon.faults import Denied, NotFound
from connectors.amazon.orders import OrderReader
from connectors.amazon.render import adjustment_id, reason_code, refund_parts
from connectors.amazon.writes import ACCEPTED, DOUBTFUL, REFUSED, Note, OrderFeeds
from oms_sync import sdk
from oms_sync.sdk.strict_json import moment

INCLUDED: Final = ("FULFILLMENT", "PROCEEDS")
PATH: Final = "/finances/v0/orders/{}/financialEvents"
PAGES_MAX: Final = 20
#: an event dated a little before our note is still its own
EARLY: Final = timedelta(minutes=1)
TAX: Final = "Tax"


class RefundDesk:
    """Refunds of one account."""

    def __init__(
        self, client: Client, orders: OrderReader, feeds: OrderFeeds, request: sdk.OpenRequest
    ) -> None:
        self._client, self._orders, self._feeds = client, orders, feeds
        self._tables, self._clock = request.tables, request.clock
        #: the application lacks the role to read financial events
        self.is_blind = False

    def refund(self, refund: sdk.OutgoingRefund) -> str:
        """See `RefundOrders.refund_order`; the receipt is the feed's id."""
        order = self._orders.shown(refund.channel_order_id, INCLUDED, priority=sdk.Priority.WRITE)
        reason = reason_code(self._tables["refund_reasons"], refund.reason)
        parts = refund_parts(refund, order)
        body = documents.order_adjusted(
            self._client.seller_id,
            refund.channel_order_id,
            [
                documents.Adjusted(
                    channel_line_id=line,
                    our_id=adjustment_id(refund.key, line),
                    reason=reason,
                    money=money,
                )
                for line, money in parts.items()
            ],
        )
        note = self._feeds.new_note(
            f"refund/{refund.key}",
            documents.ORDER_ADJUSTED,
            refund.channel_order_id,
            amount=str(refund.amount.amount),
            currency=refund.amount.currency,
            lines=dict(refund.lines),
        )
        return self._feeds.send(note, order["salesChannel"]["marketplaceId"], body)

    def read(self, order_id: str) -> tuple[sdk.ChannelRefund, ...]:
        """Every refund Amazon shows, and those of ours it has accepted and not shown yet."""
        shown = [_refund(event) for event in self._events(order_id)]
        noted = [
            self._feeds.settled(note) for note in self._feeds.notes_of(order_id) if note.amount
        ]
        # One whose feed was never made has nothing in the books.
        notes = [note for note in noted if note.feed_id or note.verdict == DOUBTFUL]
        notes = [note for note in notes if note.verdict != REFUSED]
        early = self._client.now() - self._clock.now() - EARLY
        found: list[sdk.ChannelRefund] = []
        for refund, tax in sorted(shown, key=lambda each: each[0].at):
            note = next((one for one in notes if _is_it(one, refund, tax, early)), None)
            if note is not None:
                notes.remove(note)
            found.append(_keyed(refund, note))
        return (*found, *(_pending(note) for note in notes if note.verdict == ACCEPTED))

    def _events(self, order_id: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        token: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            try:
                payload = self._client.ask(
                    "listFinancialEventsByOrderId",
                    PATH,
                    order_id,
                    priority=sdk.Priority.READ,
                    **token,
                ).fields["payload"]
            except NotFound:
                return found  # nothing was paid or paid back yet
            except Denied:
                self.is_blind = True
                return found
            self.is_blind = False
            found += (payload.get("FinancialEvents") or {}).get("RefundEventList") or []
            if not payload.get("NextToken"):
                return found
            token = {"NextToken": payload["NextToken"]}
        raise sdk.ChannelDown(f"the financial events of {order_id} do not end")


def _refund(event: Mapping[str, Any]) -> tuple[sdk.ChannelRefund, sdk.Money]:
    """A refund event, and the tax in it, which Amazon adds by itself."""
    rows = event.get("ShipmentItemAdjustmentList") or []
    charges = [each for row in rows for each in row.get("ItemChargeAdjustmentList") or ()]
    currency = next((each["ChargeAmount"]["CurrencyCode"] for each in charges), None)
    if currency is None:
        raise sdk.BadPayload("a refund event without money")
    lines: dict[str, int] = {}
    for row in rows:
        if row.get("OrderItemId"):
            lines[row["OrderItemId"]] = lines.get(row["OrderItemId"], 0) + (
                row.get("QuantityShipped") or 0
            )
    ids = sorted(str(row.get("OrderAdjustmentItemId") or "") for row in rows)
    refund = sdk.ChannelRefund(
        channel_refund_id="+".join(filter(None, ids)) or f"at {event['PostedDate']}",
        amount=_back(charges, currency),
        lines={line: units for line, units in lines.items() if units},
        state="done",
        at=moment(event["PostedDate"]),
    )
    return refund, _back([each for each in charges if each["ChargeType"] == TAX], currency)


def _back(charges: Iterable[Mapping[str, Any]], currency: str) -> sdk.Money:
    """What goes back to the buyer: charges are negative."""
    amounts = (Decimal(str(each["ChargeAmount"]["CurrencyAmount"])) for each in charges)
    return sdk.Money(-sum(amounts, Decimal(0)), currency)


def _is_it(note: Note, refund: sdk.ChannelRefund, tax: sdk.Money, early: timedelta) -> bool:
    asked = sdk.Money(Decimal(note.amount), note.currency)
    return refund.at >= note.noted_at + early and asked in (refund.amount, refund.amount - tax)


def _keyed(refund: sdk.ChannelRefund, note: Note | None) -> sdk.ChannelRefund:
    if note is None:
        return refund
    return replace(refund, lines=refund.lines or note.lines, key=note.key.partition("/")[2])


def _pending(note: Note) -> sdk.ChannelRefund:
    return sdk.ChannelRefund(
        channel_refund_id=f"feed {note.feed_id}",
        amount=sdk.Money(Decimal(note.amount), note.currency),
        lines=note.lines,
        state="pending",
        at=note.noted_at,
        key=note.key.partition("/")[2],
    )
