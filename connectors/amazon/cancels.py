"""Cancelling at Amazon, which has no operation for it: by order feed, read back by the caller.

A whole order goes by OrderAcknowledgement, some of it by OrderAdjustment. The reason counts in the
seller's metrics: what the buyer asked for does not, stock-outs do.
"""

from collections.abc import Mapping
from typing import Any, Final

from connectors.amazon import documents
from connectors.amazon.client import Client
from connectors.amazon.orders import DECISION, OrderReader
from connectors.amazon.render import adjustment_id, reason_code
from connectors.amazon.writes import ACCEPTED, DOUBTFUL, OrderFeeds
from oms_sync import sdk

#: an accepted cancellation that does not show after so long may be sent once more
RESEND_SECONDS: Final = 1800.0
_OPEN: Final = ("UNSHIPPED", "PARTIALLY_SHIPPED")


class CancelDesk:
    """Cancels orders of one account."""

    def __init__(
        self, client: Client, orders: OrderReader, feeds: OrderFeeds, request: sdk.OpenRequest
    ) -> None:
        self._client, self._orders, self._feeds = client, orders, feeds
        self._clock, self._tables = request.clock, request.tables
        self._is_older = request.settings.orders_api == "v0"

    def cancel(self, cancellation: sdk.OutgoingCancellation) -> str | None:
        """See `CancelOrders.cancel_order`; the receipt is the feed's id."""
        order_id, key = cancellation.channel_order_id, f"cancel/{cancellation.key}"
        order = self._orders.shown(order_id, DECISION, priority=sdk.Priority.WRITE)
        left, shipped = _units(order)
        wanted = {
            line: min(units, left.get(line, 0))
            for line, units in cancellation.lines.items()
            if left.get(line)
        }
        if not wanted:
            return None  # nothing of it is open any more
        _check(order)
        is_whole = not shipped and wanted == {line: units for line, units in left.items() if units}
        if self._is_older and not is_whole:
            raise sdk.Rejected(
                "the older API never shows cancelled units of an order that goes on: cancel them "
                "in Seller Central, or take orders_api: v0 out of the settings"
            )
        self._renew(key)
        kind = documents.ORDER_CANCELLED if is_whole else documents.ORDER_ADJUSTED
        if is_whole:
            code = reason_code(self._tables["cancellation_reasons"], cancellation.reason)
            body = documents.order_cancelled(self._client.seller_id, order_id, wanted, code)
        else:
            body = self._adjusted(cancellation, wanted)
        note = self._feeds.new_note(key, kind, order_id)
        return self._feeds.send(note, order["salesChannel"]["marketplaceId"], body)

    def _adjusted(self, cancellation: sdk.OutgoingCancellation, wanted: Mapping[str, int]) -> bytes:
        # For units Amazon knows these two reasons and no other.
        reason = "BuyerCanceled" if cancellation.reason == "buyer" else "NoInventory"
        return documents.order_adjusted(
            self._client.seller_id,
            cancellation.channel_order_id,
            [
                documents.Adjusted(
                    channel_line_id=line,
                    our_id=adjustment_id(cancellation.key, line),
                    reason=reason,
                    cancelled=units,
                )
                for line, units in wanted.items()
            ],
        )

    def _renew(self, key: str) -> None:
        """Let a feed be made anew where one that may have done it shows nothing for long."""
        note = self._feeds.note_of(key)
        if note is None or note.verdict not in (ACCEPTED, DOUBTFUL):
            return
        if (self._clock.now() - note.noted_at).total_seconds() >= RESEND_SECONDS:
            self._feeds.forget(key)


def _check(order: Mapping[str, Any]) -> None:
    fulfilment = order["fulfillment"]
    if fulfilment.get("fulfilledBy") != "MERCHANT":
        raise sdk.Rejected("Amazon ships this order itself: ask Seller Support to cancel it")
    status = fulfilment["fulfillmentStatus"]
    if status not in _OPEN:
        raise sdk.Rejected(f"the order is {status}: Amazon cancels it for nobody in that status")


def _units(order: Mapping[str, Any]) -> tuple[dict[str, int], int]:
    """Units still open by line, and how many are gone already."""
    lines = {line["orderItemId"]: line["fulfillment"] for line in order["orderItems"]}
    left = {line: progress["quantityUnfulfilled"] for line, progress in lines.items()}
    return left, sum(progress["quantityFulfilled"] for progress in lines.values())
