"""Root queries: look-ups by id, searched lists, and the lies a list may tell (F18, F19, F20)."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

from connectors.shopify.sandbox.gids import gid, number_of, split
from connectors.shopify.sandbox.order_views import OrderViews
from connectors.shopify.sandbox.paging import (
    Key,
    as_connection,
    connection,
    make_cursor,
    read_cursor,
)
from connectors.shopify.sandbox.search import Getter, parse_search, words
from connectors.shopify.sandbox.views import Arguments, CatalogueViews, base, domain
from oms_sync.sdk.sandbox_records import Order, Work
from oms_sync.sdk.sandbox_store import Store

SCOPES: Final = tuple(
    "read_orders write_orders read_all_orders read_products read_inventory write_inventory "
    "read_locations read_fulfillments read_merchant_managed_fulfillment_orders "
    "write_merchant_managed_fulfillment_orders read_assigned_fulfillment_orders "
    "write_assigned_fulfillment_orders read_third_party_fulfillment_orders read_returns "
    "read_customers".split()
)
_ID_MAX: Final = 2**62
#: root fields that look one record up, and the type the id must be of
_BY_ID: Final = {
    "node": "",
    "order": "Order",
    "productVariant": "ProductVariant",
    "inventoryItem": "InventoryItem",
    "inventoryLevel": "InventoryLevel",
    "location": "Location",
    "fulfillment": "Fulfillment",
    "fulfillmentOrder": "FulfillmentOrder",
    "webhookSubscription": "WebhookSubscription",
}


def _status(order: Order) -> list[str]:
    if order.cancelled_at is not None:
        return ["any", "cancelled"]
    return ["any", "not_closed", "open"] if order.closed_at is None else ["any", "closed"]


_ORDER_FIELDS: Final[Mapping[str, Getter]] = {
    "updated_at": lambda order: order.updated_at,
    "created_at": lambda order: order.created_at,
    "processed_at": lambda order: order.created_at,
    "id": lambda order: order.id,
    "name": lambda order: [order.name, str(order.number)],
    "status": _status,
    "financial_status": lambda order: ["any", order.financial_status],
    "fulfillment_status": lambda order: [order.fulfilment_status],
    "test": lambda order: str(order.is_test),
    "tag": lambda order: order.tags,
    "source_name": lambda _: "web",
    "sku": lambda order: [word for line in order.lines for word in words(line.variant.sku)],
}
_CATALOGUE_FIELDS: Final[Mapping[str, Getter]] = {
    "updated_at": lambda variant: variant.updated_at,
    "created_at": lambda variant: variant.created_at,
    "id": lambda variant: variant.id,
    "sku": lambda variant: words(variant.sku),
    "title": lambda variant: words(variant.title),
}
_ORDER_KEYS: Final[Mapping[str, Callable[[Order], Key]]] = {
    "ID": lambda order: (0, order.id),
    "ORDER_NUMBER": lambda order: (order.number, order.id),
    "CREATED_AT": lambda order: (order.created_at.isoformat(), order.id),
    "PROCESSED_AT": lambda order: (order.created_at.isoformat(), order.id),
    "UPDATED_AT": lambda order: (order.updated_at.isoformat(), order.id),
}


_WORK_FIELDS: Final[Mapping[str, Getter]] = {
    "updated_at": lambda work: work.updated_at,
    "id": lambda work: work.id,
    "status": lambda work: work.status,
    "assigned_location_id": lambda work: work.place.id,
}
_WORK_KEYS: Final[Mapping[str, Callable[[Work], Key]]] = {
    "ID": lambda work: (0, work.id),
    "UPDATED_AT": lambda work: (work.updated_at.isoformat(), work.id),
}


class Queries:
    """Resolvers of the query root. `searches` collects the warnings of the request at hand."""

    def __init__(self, store: Store, catalogue: CatalogueViews, orders: OrderViews) -> None:
        self._store, self._catalogue, self._orders = store, catalogue, orders
        self._rounds = itertools.count(1)
        self.searches: list[dict[str, Any]] = []
        self.root: dict[str, Callable[[Arguments], Any]] = {
            "currentAppInstallation": self._installation,
            "shop": lambda _: catalogue.shop(),
            "orders": self._list_orders,
            "fulfillmentOrders": self._list_work,
            "locations": lambda given: connection(store.places, given, catalogue.place),
            "productVariants": lambda given: self._list_variants(given, catalogue.variant),
            "inventoryItems": lambda given: self._list_variants(given, catalogue.item),
            "webhookSubscriptions": self._list_subscriptions,
            "nodes": lambda given: [self.node(each) for each in given["ids"]],
            "job": lambda given: {"id": given["id"], "done": store.jobs.get(given["id"], True)},
        }
        returned: Getter = lambda order: [orders.return_status(order)]  # noqa: E731 - one of many
        self._order_fields = {**_ORDER_FIELDS, "return_status": returned}
        self.root |= dict.fromkeys(_BY_ID, lambda given: self.node(given["id"]))
        self.root |= {name: self._of_kind(kind) for name, kind in _BY_ID.items() if kind}

    def _of_kind(self, kind: str) -> Callable[[Arguments], Any]:
        def look_up(given: Arguments) -> Any:
            value = given.get("id") or gid("Location", self._store.places[0].id)
            number_of(value, kind)
            return self.node(value)

        return look_up

    def node(self, value: str) -> Any:
        """The record behind a gid, None when there is none."""
        kind, number, item = split(value)
        store, catalogue, orders = self._store, self._catalogue, self._orders
        if kind == "InventoryLevel":
            variant = store.by_item.get(item or 0)
            level = variant.levels.get(number) if variant else None
            return catalogue.level(variant, level) if variant and level else None
        found: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "Order": (self._visible_order(number), orders.order),
            "FulfillmentOrder": (store.work.get(number), lambda entry: orders.work(*entry)),
            "Fulfillment": (store.dispatches.get(number), lambda each: orders.sent(each, number)),
            "ProductVariant": (store.variants.get(number), catalogue.variant),
            "InventoryItem": (store.by_item.get(number), catalogue.item),
            "Location": (store.place(number), catalogue.place),
            "WebhookSubscription": (store.subscriptions.get(number), catalogue.subscription),
            "Return": (orders.merchant.back_of(number), lambda entry: orders.back(*entry)),
            "ReverseFulfillmentOrder": (
                orders.merchant.back_of(number),
                lambda entry: orders.reverse(entry[1]),
            ),
        }
        record, view = found.get(kind, (None, lambda _: None))
        return None if record is None else view(record)

    def _visible_order(self, number: int) -> Order | None:
        order = self._store.orders.get(number)
        if order is None or order.visible_at > self._store.now():
            return None
        return order if self._catalogue.merchant.sees(order) else None

    def _installation(self, _: Arguments) -> Any:
        number, key = self._store.app_id, self._store.secret("client_id")
        withheld = self._catalogue.merchant.withheld_scopes
        scopes = [{"handle": one, "description": one} for one in SCOPES if one not in withheld]
        app = base("App", number) | {"title": "Hub", "handle": "hub", "apiKey": key}
        launch = f"https://{domain(self._store)}/admin/apps/hub"
        own = {"accessScopes": scopes, "app": app, "launchUrl": launch}
        return base("AppInstallation", number) | own

    def _search(self, field: str, given: Arguments, fields: Mapping[str, Getter]) -> Any:
        search = parse_search(given.get("query"), fields)
        if search.warnings:
            about = {"path": [field], "query": given["query"], "warnings": search.warnings}
            self.searches.append(about)
        return search

    def _list_orders(self, given: Arguments) -> Any:
        search, now = self._search("orders", given, self._order_fields), self._store.now()
        key = _ORDER_KEYS[given.get("sortKey") or "PROCESSED_AT"]
        found = [
            order
            for order in self._store.updated_since(search.updated_from)
            if max(order.visible_at, order.visible_in_lists_at) <= now
            and self._catalogue.merchant.sees(order)
            and search.matches(order)
        ]
        page = connection(sorted(found, key=key), given, self._orders.order, key)
        return self._lie(page, given, key) if page["page"] else page

    def _list_work(self, given: Arguments) -> Any:
        search, now = self._search("fulfillmentOrders", given, _WORK_FIELDS), self._store.now()
        key = _WORK_KEYS[given.get("sortKey") or "ID"]
        merchant, edge = self._catalogue.merchant, search.updated_from
        found = {
            work.id: order
            for order, work in self._store.work.values()
            if (edge is None or work.updated_at >= edge)
            and max(order.visible_at, order.visible_in_lists_at) <= now
            and merchant.sees(order)
            and merchant.shows(work)
            and (given.get("includeClosed") or work.status != "CLOSED")
            and search.matches(work)
        }
        works = sorted((self._store.work[number][1] for number in found), key=key)
        return connection(works, given, lambda one: self._orders.work(found[one.id], one), key)

    def _lie(self, page: dict[str, Any], given: Arguments, key: Callable[[Order], Key]) -> Any:
        """What a list may get wrong: leave one out, come empty, or go in circles."""
        fires, info, shown = self._store.faults.fires, page["pageInfo"], page["page"]
        if fires("F18"):
            left_out = len(shown) // 2
            kept = shown[:left_out] + shown[left_out + 1 :]
            page = as_connection(kept, self._orders.order, info)
        if fires("F19"):
            here = self._same_place(given, key(shown[0][1]))
            told = info | {"hasNextPage": True, "startCursor": None, "endCursor": here}
            return as_connection([], self._orders.order, told)
        if given.get("after") and fires("F20"):
            return page | {"pageInfo": info | {"hasNextPage": True, "endCursor": given["after"]}}
        return page

    def _same_place(self, given: Arguments, key: Key) -> str:
        """Another text for the place the page began at, as an empty page's cursor."""
        lowest, highest = ("", "~") if isinstance(key[0], str) else (0, _ID_MAX)
        bound = (highest, _ID_MAX) if given.get("reverse") else (lowest, 0)
        if given.get("after"):
            bound = read_cursor(given["after"])
        return make_cursor(bound, round=next(self._rounds))

    def _list_variants(self, given: Arguments, view: Callable[[Any], Any]) -> Any:
        search = self._search("query", given, _CATALOGUE_FIELDS)
        variants = list(self._store.variants.values())
        found = (
            [each for each in variants if search.matches(each)] if search.predicates else variants
        )
        return connection(found, given, view)

    def _list_subscriptions(self, given: Arguments) -> Any:
        topics, uri = given.get("topics"), given.get("uri")
        found = [
            each
            for each in self._store.subscriptions.values()
            if not each.is_configured
            and (not topics or each.topic in topics)
            and uri in (None, each.uri)
        ]
        return connection(found, given, self._catalogue.subscription)
