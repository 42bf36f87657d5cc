"""ORDER_CHANGE notifications for every change of an order, and their faults F11 to F14 and F40."""

import json
from typing import Any, Final

from connectors.amazon.sandbox.account import ORDER_CHANGE, Account, minted_id
from connectors.amazon.sandbox.fba import Later
from connectors.amazon.sandbox.marketplace import (
    MARKETPLACE_ID,
    fine_stamp,
    order_id,
    seller_id,
    stamp,
)
from connectors.amazon.sandbox.order_views import (
    DELIVER_WITHIN,
    SHIP_WITHIN,
    requested_lines,
    status_of,
)
from oms_sync.sdk.sandbox_queue import Queue
from oms_sync.sdk.sandbox_records import Line, Order
from oms_sync.sdk.sandbox_store import Store

_TOLD: Final = ("order.placed", "order.updated")


class Notifications:
    """Listens to the store and writes to the queue."""

    def __init__(self, store: Store, queue: Queue, later: Later, account: Account) -> None:
        self._store, self._queue, self._later = store, queue, later
        self._account, self._subscription_id = account, ""
        #: the newest fact of the act that is going on
        self._fact = ""
        store.listen(self._hear)

    def _hear(self, fact: str, record: Any, _: Any) -> None:
        if fact not in _TOLD:
            self._fact = fact
            return
        before, self._fact = self._fact, ""
        if fact == "order.placed":
            before = ""
        self._tell(record, before)

    def _tell(self, order: Order, fact: str) -> None:
        store, fires = self._store, self._store.faults.fires
        late = store.options.late_seconds
        subscription = self._account.told(ORDER_CHANGE)
        if subscription is None or fires("F14"):
            return
        self._subscription_id = subscription.id
        after = late if fires("F13") else 0.0
        if fact == "order.shipped" and fires("F40"):
            after = late
        body = self._envelope(order, fact)
        self._send(body, after)
        if fires("F11"):
            self._send(body, after)
        if fires("F12"):
            self._send(body | {"NotificationMetadata": self._metadata()}, after)

    def _send(self, body: dict[str, Any], after: float) -> None:
        text = json.dumps(body)
        if after > 0:
            self._later(after, lambda: self._queue.send(text))
        else:
            self._queue.send(text)

    def _metadata(self) -> dict[str, str]:
        store = self._store
        return {
            "ApplicationId": f"amzn1.sp.solution.{store.secret('application')}",
            "SubscriptionId": self._subscription_id,
            "PublishTime": fine_stamp(store.now()),
            "NotificationId": minted_id(store, "notification"),
        }

    def _envelope(self, order: Order, fact: str) -> dict[str, Any]:
        is_request = fact in ("work.held", "work.released")
        change = {
            "NotificationLevel": "OrderLevel",
            "SellerId": seller_id(self._store),
            "AmazonOrderId": order_id(order),
            "OrderChangeType": "BuyerRequestedChange" if is_request else "OrderStatusChange",
            "OrderChangeTrigger": {
                "TimeOfOrderChange": fine_stamp(order.updated_at),
                "ChangeReason": "Buyer Requested Cancel" if is_request else "Status Change",
            },
            "Summary": _summary(order),
        }
        return {
            "NotificationVersion": "1.0",
            "NotificationType": "ORDER_CHANGE",
            "PayloadVersion": "1.0",
            "EventTime": fine_stamp(self._store.now()),
            "Payload": {"OrderChangeNotification": change},
            "NotificationMetadata": self._metadata(),
        }


def _summary(order: Order) -> dict[str, Any]:
    requested = requested_lines(order)
    is_ours = order.fulfilled_by != "channel"
    shown: dict[str, Any] = {
        "MarketplaceId": MARKETPLACE_ID,
        "OrderStatus": spelled_v0(status_of(order)),
        "PurchaseDate": stamp(order.created_at),
        "DestinationPostalCode": order.buyer["zip"] if order.is_paid else None,
        "FulfillmentType": "MFN" if is_ours else "AFN",
        "OrderType": "StandardOrder",
        "NumberOfItemsShipped": sum(line.fulfilled for line in order.lines),
        "NumberOfItemsUnshipped": sum(line.unfulfilled for line in order.lines),
        "OrderItems": [_line(line, is_requested=line.id in requested) for line in order.lines],
    }
    if order.is_paid:
        shown["EarliestShipDate"] = stamp(order.created_at)
        shown["LatestShipDate"] = stamp(order.created_at + SHIP_WITHIN)
    if order.is_paid and is_ours:
        shown["EarliestDeliveryDate"] = stamp(order.created_at)
        shown["LatestDeliveryDate"] = stamp(order.created_at + DELIVER_WITHIN)
    return shown


def spelled_v0(status: str) -> str:
    """Notifications spell the status as v0 did."""
    return "Canceled" if status == "CANCELLED" else status.title().replace("_", "")


def _line(line: Line, *, is_requested: bool) -> dict[str, Any]:
    return {
        "OrderItemId": str(line.id),
        "SellerSKU": line.variant.sku,
        "SupplySourceId": None,
        "Quantity": line.quantity,
        "QuantityShipped": line.fulfilled,
        "IsBuyerRequestedCancel": is_requested,
    }
