"""Webhooks: REST-shaped bodies, signatures, subscriptions, and their faults F11 to F15 and F40."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from connectors.shopify.sandbox.answers import GraphRefusal, Payload, user_error
from connectors.shopify.sandbox.gids import gid, level_gid, number_of
from connectors.shopify.sandbox.merchant import CURRENCY, GoodsBack
from connectors.shopify.sandbox.order_views import total
from connectors.shopify.sandbox.views import Arguments, CatalogueViews, domain, stamp
from oms_sync.sdk.sandbox_records import Line, Order, Refund, Subscription
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Courier, Letter

VERSION: Final = "2026-10"


class Webhooks:
    """Listens to the store and posts to subscribers; resolves the subscription mutations."""

    def __init__(self, store: Store, catalogue: CatalogueViews, courier: Courier) -> None:
        self._store, self._catalogue, self._courier = store, catalogue, courier
        store.listen(self._hear)
        self.root: dict[str, Callable[[Arguments], Payload]] = {
            "webhookSubscriptionCreate": self._create,
            "webhookSubscriptionUpdate": self._update,
            "webhookSubscriptionDelete": self._delete,
        }

    def configure(self, uri: str, topics: tuple[str, ...]) -> None:
        """Subscriptions of the app's own configuration."""
        for topic in topics:
            self._add(topic, {"uri": uri}).is_configured = True

    # --- posting ---------------------------------------------------------------------------------

    def _hear(self, fact: str, record: Any, detail: Any) -> None:
        topic, body_of = _TOPICS[fact]
        name = topic.upper().replace("/", "_")
        wanted = [each for each in self._store.subscriptions.values() if each.topic == name]
        by_api = {each.uri for each in wanted if not each.is_configured}
        wanted = [each for each in wanted if not each.is_configured or each.uri not in by_api]
        if wanted:
            body = json.dumps(body_of(record, detail)).encode()
            is_echo = fact == "stock.changed" and detail is True
            for subscription in wanted:
                self._post(subscription, topic, body, is_echo=is_echo)

    def _post(self, subscription: Subscription, topic: str, body: bytes, *, is_echo: bool) -> None:
        store, fires = self._store, self._store.faults.fires
        late = store.options.late_seconds
        if fires("F14"):
            return
        after = late if fires("F13") else 0.0
        if is_echo and fires("F40"):
            after = max(after, late)
        letter = self._letter(subscription, topic, body)
        self._courier.post(letter, after_seconds=after)
        if fires("F11"):
            self._courier.post(letter, after_seconds=after)
        if fires("F12"):
            self._courier.post(self._letter(subscription, topic, body), after_seconds=after)

    def _letter(self, subscription: Subscription, topic: str, body: bytes) -> Letter:
        store = self._store
        secret = store.secret("client_secret").encode()
        signature = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
        headers = {
            "Content-Type": "application/json",
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": signature,
            "X-Shopify-Shop-Domain": domain(store),
            "X-Shopify-Webhook-Id": store.secret(f"webhook/{store.next_id()}"),
            "X-Shopify-Event-Id": store.secret(f"event/{store.event}"),
            "X-Shopify-Triggered-At": store.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "X-Shopify-API-Version": VERSION,
        }
        number = subscription.id

        def give_up() -> None:
            if not subscription.is_configured:
                store.subscriptions.pop(number, None)

        return Letter(
            url=subscription.uri,
            headers=tuple(headers.items()),
            body=body,
            is_wanted=lambda: number in store.subscriptions,
            given_up=give_up,
        )

    # --- subscribing -----------------------------------------------------------------------------

    def _create(self, given: Arguments) -> Payload:
        wanted, topic = given["webhookSubscription"], given["topic"]
        scope = _NEEDED.get(topic)
        if scope in self._catalogue.merchant.withheld_scopes:
            message = f"Access denied for webhookSubscriptionCreate field. Required: {scope}."
            raise GraphRefusal(message, "ACCESS_DENIED")
        wrong = _wrong_address(wanted.get("uri") or "") or self._taken(topic, wanted)
        if wrong:
            return Payload(userErrors=[user_error(_FIELD, wrong)])
        return self._shown(self._add(topic, wanted))

    def _taken(self, topic: str, wanted: Arguments) -> str | None:
        made = (topic, wanted.get("uri"), wanted.get("filter"))
        others = self._store.subscriptions.values()
        known = {(each.topic, each.uri, each.filter) for each in others if not each.is_configured}
        return "Address for this topic has already been taken" if made in known else None

    def _add(self, topic: str, wanted: Arguments) -> Subscription:
        store, at = self._store, self._store.second()
        made = Subscription(
            id=store.next_id(), topic=topic, uri=wanted["uri"], created_at=at, updated_at=at
        )
        self._apply(made, wanted)
        store.subscriptions[made.id] = made
        return made

    def _apply(self, made: Subscription, wanted: Arguments) -> None:
        made.uri = wanted.get("uri", made.uri)
        made.filter = wanted.get("filter", made.filter) or None
        made.name = wanted.get("name", made.name)
        made.include_fields = wanted.get("includeFields", made.include_fields) or []
        made.metafield_namespaces = wanted.get("metafieldNamespaces") or made.metafield_namespaces
        made.updated_at = self._store.second()

    def _shown(self, made: Subscription) -> Payload:
        return Payload(webhookSubscription=self._catalogue.subscription(made), userErrors=[])

    def _update(self, given: Arguments) -> Payload:
        found, wanted = self._find(given), given["webhookSubscription"]
        wrong = _wrong_address(wanted["uri"]) if "uri" in wanted else None
        if found is None or wrong:
            field = ["id"] if found is None else _FIELD
            return Payload(userErrors=[user_error(field, wrong or _UNKNOWN)])
        self._apply(found, wanted)
        return self._shown(found)

    def _delete(self, given: Arguments) -> Payload:
        found = self._find(given)
        if found is None:
            return Payload(userErrors=[user_error(["id"], _UNKNOWN)])
        del self._store.subscriptions[found.id]
        return Payload(deletedWebhookSubscriptionId=given["id"], userErrors=[])

    def _find(self, given: Arguments) -> Subscription | None:
        number = number_of(given["id"], "WebhookSubscription")
        found = self._store.subscriptions.get(number)
        return None if found is None or found.is_configured else found


#: topics that need a scope an app may lack
_NEEDED: Final = {
    "REVERSE_FULFILLMENT_ORDERS_DISPOSE": "read_returns",
    "RETURNS_APPROVE": "read_returns",
    "FULFILLMENTS_CREATE": "read_fulfillments",
    "FULFILLMENTS_UPDATE": "read_fulfillments",
}
_FIELD: Final = ("webhookSubscription", "callbackUrl")
_UNKNOWN: Final = "Webhook subscription does not exist"


def _wrong_address(uri: str) -> str | None:
    """Like the vendor, but plain http is fine on loopback."""
    parts = urlsplit(uri)
    if not uri:
        return "Address can't be blank"
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return "Address protocol http:// is not supported"
    is_usable = parts.scheme in ("http", "https") and parts.hostname
    return None if is_usable else "Address is invalid"


def _edit_body(order: Order, detail: Any) -> dict[str, Any]:
    changes = {
        side: [{"id": line.id, "delta": count} for line, count in lines.items()]
        for side, lines in detail.items()
    }
    edit = {"id": order.id, "order_id": order.id, "created_at": stamp(order.updated_at)}
    return {"order_edit": edit | {"line_items": changes}}


def _order_body(order: Order, _: Any) -> dict[str, Any]:
    shipped = {"FULFILLED": "fulfilled", "PARTIALLY_FULFILLED": "partial"}
    first, now = total(order, current=False), total(order, current=True)
    return (
        {"id": order.id, "admin_graphql_api_id": gid("Order", order.id), "name": order.name}
        | {"order_number": order.number, "created_at": stamp(order.created_at)}
        | {"updated_at": stamp(order.updated_at), "cancelled_at": stamp(order.cancelled_at)}
        | {"closed_at": stamp(order.closed_at), "confirmed": True, "test": order.is_test}
        | {"currency": CURRENCY, "total_price": f"{first:.2f}", "current_total_price": f"{now:.2f}"}
        | {"financial_status": order.financial_status.lower()}
        | {"fulfillment_status": shipped.get(order.fulfilment_status)}
        | {"email": order.buyer["email"], "shipping_address": dict(order.buyer)}
        | {"line_items": [_line_body(line) for line in order.lines]}
    )


def _line_body(line: Line) -> dict[str, Any]:
    variant = line.variant
    return (
        {"id": line.id, "admin_graphql_api_id": gid("LineItem", line.id)}
        | {"variant_id": variant.id, "sku": variant.sku, "title": variant.title}
        | {"quantity": line.quantity, "current_quantity": line.current}
        | {"fulfillable_quantity": line.unfulfilled, "price": f"{variant.price:.2f}"}
    )


def _refund_body(order: Order, refund: Refund) -> dict[str, Any]:
    lines: list[dict[str, Any]] = [
        {"id": each.id, "line_item_id": each.line.id, "quantity": each.quantity}
        | {"restock_type": each.restock_type.lower()}
        | {"location_id": each.place.id if each.place else None}
        for each in refund.lines
    ]
    body = {"id": refund.id, "order_id": order.id, "created_at": stamp(refund.created_at)}
    return body | {"refund_line_items": lines, "note": refund.note}


def _dispatch_body(order: Order, dispatch: Any) -> dict[str, Any]:
    numbers = [package["number"] for package in dispatch.packages]
    body = {"id": dispatch.id, "order_id": order.id, "name": dispatch.name, "status": "success"}
    return body | {"tracking_numbers": numbers, "created_at": stamp(dispatch.created_at)}


def _work_body(_: Order, work: Any) -> dict[str, Any]:
    body = {"id": gid("FulfillmentOrder", work.id), "status": work.status.lower()}
    return {"fulfillment_order": body}


def _deleted_body(order: Order, _: Any) -> dict[str, Any]:
    return {"id": order.id}


def _return_body(_: Order, back: GoodsBack) -> dict[str, Any]:
    own = {"id": back.id, "admin_graphql_api_id": gid("ReverseFulfillmentOrder", back.id)}
    done = [
        {"type": each.kind.lower(), "quantity": each.quantity}
        | {"location": each.place and {"id": each.place.id}}
        for each in back.dispositions
    ]
    return own | {"dispositions": done}


def _closed_body(order: Order, back: GoodsBack) -> dict[str, Any]:
    own = {"id": back.id, "admin_graphql_api_id": gid("Return", back.id)}
    return own | {"order_id": order.id, "status": "closed"}


def _level_body(record: Any, _: Any) -> dict[str, Any]:
    variant, level = record
    body = {"inventory_item_id": variant.item_id, "location_id": level.place.id}
    body |= {"admin_graphql_api_id": level_gid(level.place.id, variant.item_id)}
    return body | {"available": level.available, "updated_at": stamp(level.updated_at)}


#: what the store tells → the vendor's topic and the maker of its body
_TOPICS: Final[dict[str, tuple[str, Callable[[Any, Any], dict[str, Any]]]]] = {
    "order.placed": ("orders/create", _order_body),
    "order.paid": ("orders/paid", _order_body),
    "order.updated": ("orders/updated", _order_body),
    "order.cancelled": ("orders/cancelled", _order_body),
    "order.edited": ("orders/edited", _edit_body),
    "order.refunded": ("refunds/create", _refund_body),
    "order.shipped": ("fulfillments/create", _dispatch_body),
    "order.deleted": ("orders/delete", _deleted_body),
    "return.disposed": ("reverse_fulfillment_orders/dispose", _return_body),
    "return.closed": ("returns/close", _closed_body),
    "work.held": ("fulfillment_orders/placed_on_hold", _work_body),
    "work.released": ("fulfillment_orders/hold_released", _work_body),
    "work.moved": ("fulfillment_orders/moved", _work_body),
    "stock.changed": ("inventory_levels/update", _level_body),
}
