"""What a notification from the queue is about. Pure.

Amazon calls no web address: nothing that comes that way is genuine.
"""

from collections.abc import Mapping
from typing import Any, Final

from oms_sync.sdk import BadPayload, Hint, HintKind, RawOrder
from oms_sync.sdk.strict_json import read_json

_QUANTITY_MAX: Final = 1_000_000_000


class AmazonNotifications:
    """See `oms_sync.sdk.WebhookPart`."""

    def verify(self, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
        return False

    def topic(self, headers: Mapping[str, str]) -> str:
        return ""

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> Hint:
        fields = read_json(body)
        kind = told_type(fields)
        payload = field(fields, "payload")
        if not isinstance(payload, dict):
            raise BadPayload(f"a notification {kind[:60]!r} without a payload")
        if kind == "ORDER_CHANGE":
            return _order(payload, body)
        if kind == "LISTINGS_ITEM_MFN_QUANTITY_CHANGE":
            return _listing(payload)
        return Hint(kind=HintKind.NOTHING)


WEBHOOK: Final = AmazonNotifications()


def field(fields: Any, name: str) -> Any:
    """A member by name; some notifications write names with a capital, some without."""
    if not isinstance(fields, dict):
        return None
    return fields.get(name, fields.get(name[:1].upper() + name[1:]))


def told_type(fields: Any) -> str:
    """The notification's type; raises BadPayload where there is none."""
    kind = field(fields, "notificationType")
    if not isinstance(kind, str) or not kind:
        raise BadPayload("the message is no notification of Amazon")
    return kind


def _order(payload: Mapping[str, Any], body: bytes) -> Hint:
    change = field(payload, "orderChangeNotification")
    order_id = field(change, "amazonOrderId")
    if not isinstance(order_id, str) or not order_id:
        raise BadPayload("an ORDER_CHANGE names no order")
    summary = field(change, "summary")
    # Without lines, or the time it was placed, there is nothing to reserve: the re-read tells.
    shows = bool(field(summary, "orderItems")) and bool(field(summary, "purchaseDate"))
    order = RawOrder(channel_order_id=order_id, payload=body) if shows else None
    return Hint(kind=HintKind.ORDER, object_id=order_id, order=order)


def _listing(payload: Mapping[str, Any]) -> Hint:
    sku, quantity = field(payload, "sku"), field(payload, "quantity")
    if not isinstance(sku, str) or not sku:
        raise BadPayload("a change of quantity names no SKU")
    if type(quantity) is not int or not 0 <= quantity <= _QUANTITY_MAX:
        raise BadPayload(f"{str(quantity)[:60]!r} is no quantity")
    if field(payload, "fulfillmentChannelCode") != "DEFAULT":
        return Hint(kind=HintKind.NOTHING)
    return Hint(kind=HintKind.LISTING, object_id=sku, quantity=quantity)
