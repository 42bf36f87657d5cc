"""Listings Items: get, search and patch. A refusal of a patch is INVALID at status 200."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from connectors.amazon.sandbox.answers import Query, Refused, answer, fields, invalid
from connectors.amazon.sandbox.marketplace import (
    FBA_CHANNEL,
    MARKETPLACE_ID,
    MERCHANT_CHANNEL,
    PRODUCT_TYPE,
    asin,
    money,
    seller_id,
    stamp,
)
from connectors.amazon.sandbox.pages import Pages
from connectors.amazon.sandbox.routes import Request
from connectors.amazon.sandbox.stock import Offers
from oms_sync.sdk.sandbox_records import Variant
from oms_sync.sdk.sandbox_store import Store
from oms_sync.sdk.sandbox_wire import Reply

DATA_SETS: Final = (
    "summaries attributes issues offers fulfillmentAvailability procurement relationships "
    "productTypes".split()
)
IDENTIFIERS_MAX: Final = 20
PAGE_MAX: Final = 20
PAGE_DEFAULT: Final = 10
#: no search reaches further than this
REACHABLE_MAX: Final = 1_000
OPS: Final = ("add", "replace", "merge", "delete")
PATCHES_MAX: Final = 50
_STATUSES: Final = ("BUYABLE", "DISCOVERABLE")
_SORTS: Final = ("sku", "createdDate", "lastUpdatedDate")
_TIMES: Final = ("createdAfter", "createdBefore", "lastUpdatedAfter", "lastUpdatedBefore")
_SEARCH: Final = (
    *"marketplaceIds issueLocale includedData identifiers identifiersType withStatus".split(),
    *"withoutStatus sortBy sortOrder pageSize pageToken".split(),
    *_TIMES,
)


class Listings:
    """Resolvers of the listings operations."""

    def __init__(self, store: Store, offers: Offers) -> None:
        self._store, self._offers = store, offers
        self._pages = Pages(store)

    def get(self, request: Request) -> Reply:
        query = request.params(("marketplaceIds", "issueLocale", "includedData"))
        included = self._check(request, query)
        variant = self._offers.find(request.path[1])
        if variant is None:
            message = f"SKU '{request.path[1]}' not found in marketplace {MARKETPLACE_ID}"
            raise Refused(404, "NOT_FOUND", message)
        return answer(200, self._view(variant, included))

    def search(self, request: Request) -> Reply:
        query = request.params(_SEARCH)
        included = self._check(request, query)
        size = query.whole("pageSize", 1, PAGE_MAX, default=PAGE_DEFAULT)
        asked = tuple((name, query.text(name)) for name in _SEARCH if name not in _UNBOUND)
        found = self._sorted(self._found(query), query)
        token, start = query.text("pageToken"), 0
        if token is not None:
            start = self._pages.take(token, asked)
        end = min(start + size, REACHABLE_MAX)
        body: dict[str, Any] = {
            "numberOfResults": len(found),
            "items": [self._view(each, included) for each in found[start:end]],
        }
        if end < min(len(found), REACHABLE_MAX):
            body["pagination"] = {"nextToken": self._pages.give(asked, end)}
        return answer(200, body)

    def _check(self, request: Request, query: Query) -> list[str]:
        self._check_seller(request)
        query.marketplaces(is_required=True)
        return query.listed("includedData", DATA_SETS) or ["summaries"]

    def _check_seller(self, request: Request) -> None:
        if request.path[0] != seller_id(self._store):
            message = "Access to requested resource is denied."
            raise Refused(403, "Unauthorized", message, "Not the seller of this token.")

    def _found(self, query: Query) -> list[Variant]:
        identifiers = query.listed("identifiers", most=IDENTIFIERS_MAX)
        kind = query.choice("identifiersType", ("ASIN", "SKU"))
        if (kind is None) != (not identifiers):
            raise invalid("identifiers and identifiersType must be given together.")
        found = self._offers.all()
        if kind == "SKU":
            found = [each for each in found if each.sku in identifiers]
        elif kind == "ASIN":
            found = [each for each in found if asin(each.sku) in identifiers]
        wanted = set(query.listed("withStatus", _STATUSES))
        unwanted = set(query.listed("withoutStatus", _STATUSES))
        times = {name: query.time(name) for name in _TIMES}
        return [
            each
            for each in found
            if wanted <= set(self._status(each))
            and not unwanted & set(self._status(each))
            and _is_within(each.created_at, times["createdAfter"], times["createdBefore"])
            and _is_within(each.updated_at, times["lastUpdatedAfter"], times["lastUpdatedBefore"])
        ]

    def _sorted(self, found: list[Variant], query: Query) -> list[Variant]:
        by = query.choice("sortBy", _SORTS) or "lastUpdatedDate"
        is_rising = query.choice("sortOrder", ("ASC", "DESC")) == "ASC"
        keys = {
            "sku": lambda each: (each.sku, each.id),
            "createdDate": lambda each: (each.created_at, each.id),
            "lastUpdatedDate": lambda each: (each.updated_at, each.id),
        }
        return sorted(found, key=keys[by], reverse=not is_rising)

    def _status(self, variant: Variant) -> list[str]:
        can_buy = self._offers.is_fba(variant) or self._offers.quantity(variant) > 0
        return [*(["BUYABLE"] if can_buy else []), "DISCOVERABLE"]

    def _view(self, variant: Variant, included: Collection[str]) -> dict[str, Any]:
        offers = self._offers
        shown: dict[str, Any] = {"sku": variant.sku}
        at = {"marketplaceId": MARKETPLACE_ID}
        if "summaries" in included:
            shown["summaries"] = [self._summary(variant)]
        if "issues" in included:
            shown["issues"] = offers.issues.get(variant.sku, [])
        if "offers" in included:
            shown["offers"] = [at | {"offerType": "B2C", "price": money(variant.price)}]
        if "productTypes" in included:
            shown["productTypes"] = [at | {"productType": PRODUCT_TYPE}]
        if "fulfillmentAvailability" in included:
            entry: dict[str, Any] = {"fulfillmentChannelCode": FBA_CHANNEL}
            if not offers.is_fba(variant):
                entry = {"fulfillmentChannelCode": MERCHANT_CHANNEL}
                entry["quantity"] = offers.quantity_read(variant)
            shown["fulfillmentAvailability"] = [entry]
            if variant.sku in offers.located:
                place = {
                    "fulfillmentChannelCode": "4f6a1c2e-location",
                    "quantity": entry["quantity"],
                }
                shown["fulfillmentAvailability"] = [entry | {"quantity": 0}, place]
        return shown

    def _summary(self, variant: Variant) -> dict[str, Any]:
        return {
            "marketplaceId": MARKETPLACE_ID,
            "asin": asin(variant.sku),
            "productType": PRODUCT_TYPE,
            "conditionType": "new_new",
            "status": self._status(variant),
            "itemName": variant.title,
            "createdDate": stamp(variant.created_at),
            "lastUpdatedDate": stamp(variant.updated_at),
        }

    def patch(self, request: Request) -> Reply:
        known = ("marketplaceIds", "includedData", "mode", "issueLocale")
        query = request.params(known)
        self._check_seller(request)
        query.marketplaces(is_required=True)
        included = query.listed("includedData", ("identifiers", "issues")) or ["issues"]
        is_preview = query.choice("mode", ("VALIDATION_PREVIEW",)) is not None
        body = request.fields({"productType": str, "patches": list})
        check_patches(body["patches"])
        if not body["productType"]:
            raise invalid("Invalid value for body.productType")
        sku = request.path[1]
        wanted = self._offers.read_patches(sku, body["patches"])
        status = "INVALID" if wanted.issues else "VALID" if is_preview else "ACCEPTED"
        quantity = wanted.quantity
        if status == "ACCEPTED" and quantity is not None and not self._store.faults.fires("F09"):
            self._offers.accept(lambda: self._offers.set(sku, quantity))
        shown: dict[str, Any] = {
            "sku": sku,
            "status": status,
            "submissionId": self._store.secret(f"submission/{self._store.next_id()}"),
        }
        if "issues" in included:
            shown["issues"] = list(wanted.issues)
        if "identifiers" in included:
            shown["identifiers"] = [{"marketplaceId": MARKETPLACE_ID, "asin": asin(sku)}]
        return answer(200, shown)


_UNBOUND: Final = frozenset({"pageToken", "pageSize", "includedData", "issueLocale"})


def check_patches(patches: Any) -> None:
    """Refuse a list of patches that has not even their shape."""
    if not isinstance(patches, list) or not 0 < len(patches) <= PATCHES_MAX:
        raise invalid("Invalid value for patches", f"Must be 1 to {PATCHES_MAX} patches.")
    for patch in patches:
        fields(patch, {"op": str, "path": str}, {"value": list}, at="patches")
        if patch["op"] not in OPS:
            raise invalid(f"Invalid value for patches.op: {patch['op']}")


def _is_within(moment: datetime, after: datetime | None, before: datetime | None) -> bool:
    return (after is None or after <= moment) and (before is None or moment <= before)
