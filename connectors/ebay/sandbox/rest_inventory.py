"""The Inventory API, for listings Trading may not revise: bulk prices and quantities, offers.

What is listed is the smaller of the SKU's own total and its offer's quantity.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from connectors.ebay.sandbox.books import Books
from connectors.ebay.sandbox.markup import CURRENCY
from connectors.ebay.sandbox.rest import USER, RestCall, make_door, refuse_unknown, show
from connectors.ebay.sandbox.wrongs import RestError
from oms_sync.sdk.sandbox_records import Variant
from oms_sync.sdk.sandbox_wire import Reply

REQUESTS_MAX: Final = 25
QUANTITY_MAX: Final = 999_999
_BASE: Final = "/sell/inventory/v1"
_API: Final = ("sell", "inventory")
_OFFER_FIRST: Final = 5_000_000_000
_ENTRY: Final = frozenset({"sku", "shipToLocationAvailability", "offers"})
_OFFER: Final = frozenset({"offerId", "availableQuantity", "price"})
_TOTAL: Final = frozenset({"quantity", "availabilityDistributions"})


class InventoryDoors:
    """The operations, and the two quantities behind what is listed."""

    def __init__(self, books: Books) -> None:
        self._books, self._store = books, books.store
        managed = [
            listing.variants[0]
            for listing in books.listings.values()
            if listing.is_inventory_managed
        ]
        self._by_sku = {variant.sku: variant for variant in managed}
        self._totals = {variant.id: variant.available() for variant in managed}
        self._offered = dict(self._totals)
        self._listed = dict(self._totals)
        self._store.listen(self._hear)
        bulk, offer = f"POST {_BASE}/bulk_update_price_quantity", f"GET {_BASE}/offer"
        self.doors = (
            make_door("bulkUpdatePriceQuantity", bulk, self._bulk, _API, USER),
            make_door("getOffers", offer, self._offers, _API, USER),
        )

    def _hear(self, fact: str, record: Any, _: Any) -> None:
        """A sale or a hand's edit moves both quantities along."""
        if fact != "stock.changed" or record[0].id not in self._totals:
            return
        variant = record[0]
        delta = variant.available() - self._listed[variant.id]
        self._listed[variant.id] += delta
        self._totals[variant.id] += delta
        self._offered[variant.id] += delta

    def _bulk(self, call: RestCall) -> Reply:
        refuse_unknown(call.body, frozenset({"requests"}), 25709)
        requests = call.body.get("requests")
        if not isinstance(requests, list) or not 0 < len(requests) <= REQUESTS_MAX:
            raise RestError(25709, f"requests: 1 to {REQUESTS_MAX}")
        answers = [self._one(each) for each in requests]
        all_well = all(each["statusCode"] == 200 for each in answers)  # noqa: PLR2004 - HTTP's OK
        return show(200 if all_well else 207, {"responses": answers})

    def _one(self, entry: Any) -> dict[str, Any]:
        try:
            variant, total, offered = self._read(entry)
        except RestError as error:
            return _failed(entry, error)
        if not self._store.faults.fires("F09"):
            self._set(variant, total, offered)
        shown = {"sku": variant.sku, "offerId": self._offer_id(variant), "statusCode": 200}
        return shown | {"errors": [], "warnings": []}

    def _read(self, entry: Any) -> tuple[Variant, int | None, int | None]:
        if not isinstance(entry, dict):
            raise RestError(25709)
        refuse_unknown(entry, _ENTRY, 25709)
        variant = self._by_sku.get(entry.get("sku") or "")
        listing = self._books.listing_of[variant.id] if variant else None
        if variant is None or listing is None:
            raise RestError(25710)
        if listing.ended_at is not None:
            raise RestError(25002)
        stock = entry.get("shipToLocationAvailability") or {}
        refuse_unknown(stock, _TOTAL, 25709)
        offered = None
        for offer in entry.get("offers") or []:
            refuse_unknown(offer, _OFFER, 25709)
            if offer.get("offerId") != self._offer_id(variant):
                raise RestError(25713)
            offered = _quantity(offer, "availableQuantity")
        total = _quantity(stock, "quantity")
        if total is None and offered is None:
            raise RestError(25709)
        return variant, total, offered

    def _set(self, variant: Variant, total: int | None, offered: int | None) -> None:
        if total is not None:
            self._totals[variant.id] = total
        if offered is not None:
            self._offered[variant.id] = offered
        listed = min(self._totals[variant.id], self._offered[variant.id])
        place = self._store.places[0]
        self._listed[variant.id] = listed
        self._store.move(variant, place, listed - variant.available(), by_api=True)

    def _offers(self, call: RestCall) -> Reply:
        sku = call.query.get("sku", "")
        variant = self._by_sku.get(sku)
        if variant is None:
            raise RestError(25713)
        listing = self._books.listing_of[variant.id]
        is_active = listing.ended_at is None
        offer: dict[str, Any] = {"offerId": self._offer_id(variant), "sku": variant.sku}
        offer |= {"marketplaceId": "EBAY_US", "format": "FIXED_PRICE"}
        offer |= {"availableQuantity": self._offered[variant.id]}
        offer |= {"status": "PUBLISHED" if is_active else "UNPUBLISHED"}
        price = {"value": f"{variant.price:.2f}", "currency": CURRENCY}
        offer |= {"pricingSummary": {"price": price}}
        status = "ACTIVE" if is_active else "ENDED"
        offer |= {"listing": {"listingId": str(listing.id), "listingStatus": status}}
        offer |= {"listingDuration": "GTC", "listingPolicies": {}}
        offer |= {"hideBuyerDetails": False, "includeCatalogProductDetails": True}
        page = {"href": f"{_BASE}/offer?sku={quote(sku)}", "limit": 1, "total": 1, "size": 1}
        return show(200, page | {"offers": [offer]})

    def _offer_id(self, variant: Variant) -> str:
        return str(_OFFER_FIRST + variant.id % _OFFER_FIRST)


def _failed(entry: Any, error: RestError) -> dict[str, Any]:
    sku = entry.get("sku") if isinstance(entry, dict) else None
    return {"sku": sku, "statusCode": error.status, "errors": [error.entry()], "warnings": []}


def _quantity(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= QUANTITY_MAX:
        raise RestError(25709)
    return value
