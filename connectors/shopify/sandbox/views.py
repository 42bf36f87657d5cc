"""Shop, catalogue and stock as the API shows them: field names to values, nested ones by call."""

from datetime import datetime, timedelta
from typing import Any, Final

from connectors.shopify.sandbox.answers import GraphRefusal
from connectors.shopify.sandbox.gids import gid, level_gid
from connectors.shopify.sandbox.merchant import Merchant
from connectors.shopify.sandbox.paging import connection
from connectors.shopify.sandbox.schema import plain
from oms_sync.sdk.sandbox_records import QUANTITY_NAMES, Level, Place, Subscription, Variant
from oms_sync.sdk.sandbox_store import STALE_SECONDS, Store

Arguments = dict[str, Any]


def stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def base(kind: str, number: int) -> dict[str, Any]:
    same = plain().get(kind, {})
    own = {"__typename": kind, "id": gid(kind, number), "legacyResourceId": str(number)}
    return same | own


def times(record: Any) -> dict[str, Any]:
    return {"createdAt": stamp(record.created_at), "updatedAt": stamp(record.updated_at)}


def domain(store: Store) -> str:
    return f"{store.options.account}.myshopify.com"


class CatalogueViews:
    """Views of everything that is not an order."""

    def __init__(self, store: Store, merchant: Merchant) -> None:
        self._store, self.merchant = store, merchant

    def shop(self) -> dict[str, Any]:
        store, created = self._store, stamp(self._store.created_at)
        mail = f"owner@{store.options.account}.example.com"
        return (
            base("Shop", store.shop_id)
            | {"name": store.options.account, "email": mail, "contactEmail": mail}
            | {"myshopifyDomain": domain(store), "url": f"https://{domain(store)}"}
            | {"createdAt": created, "updatedAt": created}
        )

    def place(self, place: Place) -> dict[str, Any]:
        created = stamp(self._store.created_at)
        own = {"name": place.name, "createdAt": created, "updatedAt": created}
        service = {"isFulfillmentService": place.id in self.merchant.services}
        return (
            base("Location", place.id) | own | service | self.merchant.dressed("Location", place.id)
        )

    def product(self, variant: Variant) -> dict[str, Any]:
        own = {"title": variant.title, "handle": f"article-{variant.product_id}"}
        return base("Product", variant.product_id) | times(variant) | own

    def variant(self, variant: Variant) -> dict[str, Any]:
        available = variant.available()
        return (
            base("ProductVariant", variant.id)
            | times(variant)
            | {"sku": variant.sku, "displayName": f"{variant.title} - Default Title"}
            | {"price": f"{variant.price:.2f}", "inventoryQuantity": available}
            | {"requiresComponents": variant.item_id in self.merchant.bundles}
            | {"availableForSale": available > 0, "product": lambda _: self.product(variant)}
            | {"inventoryItem": lambda _: self.item(variant)}
        )

    def item(self, variant: Variant) -> dict[str, Any]:
        levels = list(variant.levels.values())
        return (
            base("InventoryItem", variant.item_id)
            | times(variant)
            | {"sku": variant.sku, "tracked": variant.is_tracked}
            | {"variant": lambda _: self.variant(variant)}
            | {"variants": lambda given: connection([variant], given, self.variant)}
            | {"inventoryLevel": lambda given: self._level_at(variant, given["locationId"])}
            | {
                "inventoryLevels": lambda given: connection(
                    levels,
                    given,
                    lambda each: self.level(variant, each),
                    lambda each: (0, each.place.id),
                )
            }
        )

    def _level_at(self, variant: Variant, location: str) -> dict[str, Any] | None:
        number = location.rpartition("/")[2]
        level = variant.levels.get(int(number)) if number.isdecimal() else None
        return None if level is None else self.level(variant, level)

    def level(self, variant: Variant, level: Level) -> dict[str, Any]:
        own = {"id": level_gid(level.place.id, variant.item_id), "isActive": True}
        return (
            {"__typename": "InventoryLevel", "createdAt": stamp(variant.created_at)}
            | own
            | {"updatedAt": stamp(level.updated_at), "item": lambda _: self.item(variant)}
            | {"location": lambda _: self.place(level.place)}
            | {"quantities": lambda given: self._quantities(variant, level, given["names"])}
        )

    def _quantities(self, variant: Variant, level: Level, names: list[str]) -> list[Any]:
        unknown = [name for name in names if name not in QUANTITY_NAMES]
        if unknown:
            raise GraphRefusal(f"Invalid quantity names: {', '.join(unknown)}", "BAD_REQUEST")
        stale = 0  # how far the copy we read from is behind the last write through the API
        if level.written_at is not None:
            age = self._store.now() - level.written_at
            if age < timedelta(seconds=STALE_SECONDS) and self._store.faults.fires("F41"):
                stale = level.available_before - level.available
        query = f"{level.place.id}?inventory_item_id={variant.item_id}&name="
        kind, at = "InventoryQuantity", stamp(level.updated_at)
        return [
            {"__typename": kind, "id": f"gid://shopify/{kind}/{query}{name}", "name": name}
            | {"quantity": level.quantity(name) + _STALE_SHARE.get(name, 0) * stale}
            | {"updatedAt": at}
            for name in names
        ]

    def subscription(self, made: Subscription) -> dict[str, Any]:
        return (
            base("WebhookSubscription", made.id)
            | times(made)
            | {"topic": made.topic, "uri": made.uri, "filter": made.filter, "name": made.name}
            | {"includeFields": made.include_fields}
            | {"metafieldNamespaces": made.metafield_namespaces}
        )


_STALE_SHARE: Final = {"available": 1, "on_hand": 1}


def _place_key(level: Level) -> tuple[int, int]:
    return 0, level.place.id
