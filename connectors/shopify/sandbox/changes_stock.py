"""Mutations of stock: absolute quantities by compare-and-set, levels, tracking of items."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from connectors.shopify.sandbox.answers import GraphRefusal, Payload, user_error
from connectors.shopify.sandbox.gids import gid, split
from connectors.shopify.sandbox.views import Arguments, CatalogueViews, stamp
from oms_sync.sdk.sandbox_records import Level, Variant
from oms_sync.sdk.sandbox_store import Store

REASONS: Final = (
    "correction cycle_count_available damaged movement_canceled movement_created "
    "movement_received movement_updated other promotion quality_control received "
    "reservation_created reservation_deleted reservation_updated restock safety_stock shrinkage"
).split()
QUANTITY_MAX: Final = 1_000_000_000
_UNNAMED: Final = "The quantity could not be set."
_MESSAGES: Final = {
    "CHANGE_FROM_QUANTITY_STALE": "The changeFromQuantity is not the quantity in the shop.",
    "INVALID_INVENTORY_ITEM": "The specified inventory item could not be found.",
    "INVALID_LOCATION": "The specified location could not be found.",
    "INVALID_NAME": "The quantity name must be either 'available' or 'on_hand'.",
    "INVALID_QUANTITY_NEGATIVE": "The quantity can't be negative.",
    "INVALID_QUANTITY_TOO_HIGH": "The quantity can't be higher than 1,000,000,000.",
    "INVALID_QUANTITY_TOO_LOW": "The quantity can't be lower than -1,000,000,000.",
    "INVALID_REASON": f"The specified reason is invalid. Valid values are: {', '.join(REASONS)}.",
    "INVALID_REFERENCE_DOCUMENT": "The reference document URI needs a scheme.",
    "NON_MUTABLE_INVENTORY_ITEM": "The quantity of a bundle follows from its components.",
    "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR": (
        "The combination of inventoryItemId and locationId must be unique."
    ),
}

#: what a push to an item that is not stocked there is refused with: the newest version lost the
#: code that said so
NOT_STOCKED: Final = "CHANGE_FROM_QUANTITY_STALE"

Found = tuple[Variant, Level]


class StockChanges:
    """Resolvers of the stock mutations."""

    def __init__(self, store: Store, catalogue: CatalogueViews) -> None:
        self._store, self._catalogue = store, catalogue
        self.not_stocked_code = NOT_STOCKED
        self.root: dict[str, Callable[[Arguments], Payload]] = {
            "inventorySetQuantities": self._set_quantities,
            "inventoryActivate": self._activate,
            "inventoryItemUpdate": self._update_item,
        }

    def _set_quantities(self, given: Arguments) -> Payload:
        asked = given["input"]
        entries, name = asked["quantities"], asked["name"]
        if any("changeFromQuantity" not in entry for entry in entries):
            message = "InventoryQuantityInput must include the following argument: "
            code = "INVALID_FIELD_ARGUMENTS"
            raise GraphRefusal(f"{message}changeFromQuantity.", code)
        errors = _input_errors(asked) or self._entry_errors(entries, name)
        if errors:
            return Payload(userErrors=errors)
        fires, applied_count = self._store.faults.fires, len(entries)
        if len(entries) > 1 and fires("F08"):
            applied_count = len(entries) // 2
        is_applied = not fires("F09")
        changes: list[dict[str, Any]] = []
        for entry in entries[:applied_count]:
            changes += self._set(entry, name, is_applied=is_applied)
        left_out = range(applied_count, len(entries))
        message = "The inventory quantity could not be updated."
        errors = [
            user_error(["input", "quantities", str(at), "quantity"], message) for at in left_out
        ]
        if errors:
            changes.reverse()
        group: dict[str, Any] = {"id": gid("InventoryAdjustmentGroup", self._store.next_id())}
        group |= {"createdAt": stamp(self._store.now()), "reason": asked["reason"]}
        group |= {"referenceDocumentUri": asked.get("referenceDocumentUri"), "changes": changes}
        return Payload(inventoryAdjustmentGroup=group if changes else None, userErrors=errors)

    def _entry_errors(self, entries: list[Any], name: str) -> list[Any]:
        errors, seen = [], set()
        for at, entry in enumerate(entries):
            pair = (entry["inventoryItemId"], entry["locationId"])
            wrong = self._entry_error(entry, name)
            if pair in seen:
                wrong = ("locationId", "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR")
            seen.add(pair)
            if wrong is not None:
                field, code = wrong
                path = ["input", "quantities", str(at), field]
                errors.append(user_error(path, _MESSAGES.get(code, _UNNAMED), code or None))
        return errors

    def _entry_error(self, entry: Mapping[str, Any], name: str) -> tuple[str, str] | None:
        wanted, expected = entry["quantity"], entry["changeFromQuantity"]
        if wanted > QUANTITY_MAX:
            return "quantity", "INVALID_QUANTITY_TOO_HIGH"
        if wanted < 0 and name == "on_hand":
            return "quantity", "INVALID_QUANTITY_NEGATIVE"
        if wanted < -QUANTITY_MAX:
            return "quantity", "INVALID_QUANTITY_TOO_LOW"
        found = self._level(entry)
        if not isinstance(found, str) and found[0].item_id in self._catalogue.merchant.bundles:
            return "inventoryItemId", "NON_MUTABLE_INVENTORY_ITEM"
        if found == "locationId" and self._is_place(entry):
            return "locationId", self.not_stocked_code
        if isinstance(found, str):
            code = "INVALID_LOCATION" if found == "locationId" else "INVALID_INVENTORY_ITEM"
            return found, code
        if expected is not None and expected != found[1].quantity(name):
            return "changeFromQuantity", "CHANGE_FROM_QUANTITY_STALE"
        return None

    def _level(self, given: Mapping[str, Any]) -> Found | str:
        """The level an entry means, else the name of the argument that leads nowhere."""
        kind, number, _ = split(given["inventoryItemId"])
        variant = self._store.by_item.get(number) if kind == "InventoryItem" else None
        if variant is None:
            return "inventoryItemId"
        kind, number, _ = split(given["locationId"])
        level = variant.levels.get(number) if kind == "Location" else None
        return "locationId" if level is None else (variant, level)

    def _is_place(self, given: Mapping[str, Any]) -> bool:
        kind, number, _ = split(given["locationId"])
        return kind == "Location" and self._store.place(number) is not None

    def _set(self, entry: Mapping[str, Any], name: str, *, is_applied: bool) -> list[Any]:
        found = self._level(entry)
        if isinstance(found, str):
            raise TypeError("entries are checked before they are applied")
        variant, level = found
        delta = entry["quantity"] - level.quantity(name)
        if not delta:
            return []
        if is_applied:
            self._store.move(variant, level.place, delta, by_api=True)
        item, place = self._catalogue.item(variant), self._catalogue.place(level.place)
        same = {"delta": delta, "quantityAfterChange": None, "ledgerDocumentUri": None}
        same |= {"item": item, "location": place}
        return [same | {"name": "available"}, same | {"name": "on_hand"}]

    def _activate(self, given: Arguments) -> Payload:
        found = self._level(given)
        if found == "locationId" and self._is_place(given):
            found = self._stock_at(given)
        if isinstance(found, str):
            message = "The specified inventory item or location could not be found."
            return Payload(userErrors=[user_error([found], message)])
        for field, name in (("available", "available"), ("onHand", "on_hand")):
            if given.get(field) is not None:  # every seeded item is stocked everywhere already
                message = f"Not allowed to set {name} quantity when the item is already active"
                return Payload(userErrors=[user_error([field], f"{message} at the location.")])
        return Payload(inventoryLevel=self._catalogue.level(*found), userErrors=[])

    def _stock_at(self, given: Mapping[str, Any]) -> Found:
        """A level where there was none: an item that was not stocked at the place."""
        variant = self._store.by_item[split(given["inventoryItemId"])[1]]
        place = self._store.place(split(given["locationId"])[1])
        assert place is not None, "only a place of the shop is asked for"
        level = Level(place=place, available=0, updated_at=self._store.second())
        variant.levels[place.id] = level
        return variant, level

    def _update_item(self, given: Arguments) -> Payload:
        variant = self._store.by_item.get(split(given["id"])[1])
        if variant is None:
            message = "The inventory item does not exist."
            return Payload(userErrors=[user_error(["id"], message)])
        tracked = given["input"].get("tracked")
        variant.is_tracked = variant.is_tracked if tracked is None else tracked
        return Payload(inventoryItem=self._catalogue.item(variant), userErrors=[])


def _input_errors(asked: Mapping[str, Any]) -> list[Any]:
    uri = asked.get("referenceDocumentUri")
    checks = (
        ("name", "INVALID_NAME", asked["name"] in ("available", "on_hand")),
        ("reason", "INVALID_REASON", asked["reason"] in REASONS),
        ("referenceDocumentUri", "INVALID_REFERENCE_DOCUMENT", uri is None or ":" in uri),
    )
    return [
        user_error(["input", field], _MESSAGES[code], code)
        for field, code, is_good in checks
        if not is_good
    ]
