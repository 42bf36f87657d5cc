"""Is a delivery genuine, and what is it about? Pure; headers prove nothing, only the body does."""

import base64
import hmac
from collections.abc import Mapping
from typing import Any, Final

from oms_sync.sdk import BadPayload, Hint, HintKind
from oms_sync.sdk.strict_json import read_json

_DIGITS_MAX: Final = 20
_QUANTITY_MAX: Final = 1_000_000_000
_ORDER_BY_ID: Final = frozenset(
    f"orders/{word}"
    for word in "create updated cancelled paid fulfilled partially_fulfilled".split()
)
_ORDER_BY_FIELD: Final = ("refunds/", "fulfillments/")
_ACCOUNT: Final = ("app/uninstalled", "app/scopes_update")
#: these name no order: all there is to say is that it is time to poll
_ORDERS: Final = ("fulfillment_orders/", "fulfillment_holds/", "reverse_fulfillment")
_REDACT: Final = "customers/redact"
#: what the law makes the shop ask of an app, for people to answer: taken in, kept with its body
COMPLIANCE: Final = frozenset({"customers/data_request", "shop/redact"})


class ShopifyWebhook:
    """See `oms_sync.sdk.WebhookPart`."""

    def verify(self, settings: Any, headers: Mapping[str, str], body: bytes) -> bool:
        # Compared as text: base64 has several spellings of one signature, Shopify sends one.
        signature = _header(headers, "hmac-sha256").encode("utf-8", "replace")
        # Shopify signs with the app's client secret, which may stand in either setting.
        present = settings.webhook_secret or settings.client_secret
        is_genuine = False
        for secret in (present, settings.webhook_secret_previous):
            if secret is not None and secret.get_secret_value():
                digest = hmac.digest(secret.get_secret_value().encode(), body, "sha256")
                is_genuine |= hmac.compare_digest(base64.b64encode(digest), signature)
        if is_genuine and self.topic(headers) == _REDACT:
            return _is_of_shop(settings.shop, body)
        return is_genuine

    def topic(self, headers: Mapping[str, str]) -> str:
        return _header(headers, "topic").lower()

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> Hint:
        topic = self.topic(headers)
        fields = read_json(body) if body else {}
        if not isinstance(fields, dict):
            raise BadPayload(f"the body of {topic!r} is no object")
        if topic.startswith("orders/"):
            return _sold(topic, fields)
        if topic.startswith(_ORDER_BY_FIELD):
            return _order(fields, "order_id")
        if topic.startswith("returns/"):
            return _returned(fields)
        if topic.startswith("inventory_levels/"):
            return _listing(fields)
        if topic == _REDACT:
            return _forgotten(fields)
        if topic.startswith(_ORDERS):
            return Hint(kind=HintKind.ORDERS)
        # What remains, `COMPLIANCE` with it, is kept and changes nothing.
        return Hint(kind=HintKind.ACCOUNT if topic in _ACCOUNT else HintKind.NOTHING)


WEBHOOK: Final = ShopifyWebhook()


def _header(headers: Mapping[str, str], name: str) -> str:
    return headers.get(f"x-shopify-{name}") or headers.get(f"shopify-{name}") or ""


def _order(fields: Mapping[str, Any], name: str) -> Hint:
    return Hint(kind=HintKind.ORDER, object_id=_id(fields, name))


def _id(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if type(value) is not int or value <= 0 or len(str(value)) > _DIGITS_MAX:
        raise BadPayload(f"{name} is no id: {str(value)[:60]!r}")
    return str(value)


def _sold(topic: str, fields: Mapping[str, Any]) -> Hint:
    if topic == "orders/delete":
        return Hint(kind=HintKind.ORDER_DELETED, object_id=_id(fields, "id"))
    if topic == "orders/edited":
        edit = fields.get("order_edit")
        return _order(edit if isinstance(edit, dict) else fields, "order_id")
    return _order(fields, "id") if topic in _ORDER_BY_ID else Hint(kind=HintKind.NOTHING)


def _returned(fields: Mapping[str, Any]) -> Hint:
    """Some topics of returns name the order, some hold it, and one says nothing at all."""
    order = fields.get("order")
    if isinstance(order, dict):
        return _order(order, "id")
    return _order(fields, "order_id") if "order_id" in fields else Hint(kind=HintKind.ORDERS)


def _is_of_shop(shop: str, body: bytes) -> bool:
    """Whether a request to forget is about a buyer of this shop, or names no shop at all.

    Shops of one app share its secret, and the same number is somebody else at each of them.
    """
    try:
        fields = read_json(body)
    except BadPayload:
        return True  # genuine, and for people to look at
    named = fields.get("shop_domain") if isinstance(fields, dict) else None
    return not isinstance(named, str) or named.lower() == shop


def _forgotten(fields: Mapping[str, Any]) -> Hint:
    """Only the body is signed, and bodies of orders name a customer, too: this kind says more."""
    buyer, orders = fields.get("customer"), fields.get("orders_to_redact")
    if not isinstance(fields.get("shop_domain"), str) or not isinstance(orders, list):
        raise BadPayload("this is no request to forget a buyer")
    if not isinstance(buyer, dict):
        raise BadPayload("the request to forget a buyer names none")
    return Hint(kind=HintKind.ERASURE, object_id=_id(buyer, "id"))


def _listing(fields: Mapping[str, Any]) -> Hint:
    gid = f"gid://shopify/InventoryItem/{_id(fields, 'inventory_item_id')}"
    quantity = fields.get("available")
    if quantity is not None and (type(quantity) is not int or abs(quantity) > _QUANTITY_MAX):
        raise BadPayload(f"available is no quantity: {str(quantity)[:60]!r}")
    return Hint(kind=HintKind.LISTING, object_id=gid, quantity=quantity)
