"""Listings and quantities: discover, read and set them at the one location the hub writes to."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from connectors.shopify import render
from connectors.shopify.client import Answer, Client
from connectors.shopify.faults import CostTooHigh
from oms_sync import sdk

LISTINGS_FIRST: Final = 50
_STALE: Final = frozenset({"CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE"})
#: another batch key is needed, the entries are fine
_NEW_KEY: Final = frozenset(
    {"IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"}
)
_NOT_STOCKED: Final = "ITEM_NOT_STOCKED_AT_LOCATION"
_INDEX_AT: Final = 2


class StockDesk:
    """Everything about quantities for one account."""

    def __init__(self, client: Client, locations: Sequence[str]) -> None:
        self._client = client
        self._location = locations[0] if locations else None
        self._lock = threading.Lock()

    def listings(self, cursor: str | None) -> sdk.ListingPage:
        """The next page of the shop's variants."""
        answer = self._client.run_sized(
            "Listings",
            {"after": cursor, "location": self.location()},
            LISTINGS_FIRST,
            priority=sdk.Priority.BULK,
        )
        variants = answer.fields["productVariants"]
        page = variants["pageInfo"]
        if page["hasNextPage"] and page["endCursor"] in (None, cursor):
            raise sdk.BadPayload("the shop's list of variants goes round in circles")
        return sdk.ListingPage(
            listings=tuple(_listing(node) for node in variants["nodes"]),
            cursor=page["endCursor"] if page["hasNextPage"] else None,
        )

    def read(self, channel_listing_ids: Sequence[str]) -> sdk.StockReading:
        """What the shop shows; unknown and uncounted listings are absent."""
        quantities: dict[str, int] = {}
        read_at: datetime | None = None
        waiting = list(dict.fromkeys(channel_listing_ids))
        location = self.location()
        while waiting or read_at is None:  # each turn takes ids away or halves the size
            size = self._client.size("Stock", len(waiting))
            variables = {"ids": waiting[:size], "location": location}
            try:
                answer = self._client.run("Stock", variables, priority=sdk.Priority.READ)
            except CostTooHigh:
                self._client.halve("Stock", size)
                continue
            quantities |= _quantities(answer)
            read_at = min(read_at or answer.at, answer.at)
            waiting = waiting[size:]
        return sdk.StockReading(quantities=quantities, read_at=read_at)

    def push(self, batch: sdk.StockBatch) -> tuple[sdk.PushResult, ...]:
        """Set all quantities of `batch` in one call, all or nothing."""
        location = self.location()
        answer = self._client.run(
            "SetStock", render.set_stock(batch, location), priority=sdk.Priority.WRITE
        )
        payload = answer.fields.get("inventorySetQuantities")
        if not isinstance(payload, dict) or not isinstance(payload.get("userErrors"), list):
            raise sdk.OutcomeUnknown("the shop's answer to a push of stock holds no result")
        named = _by_entry(payload["userErrors"], batch)
        for listing_id, (code, _) in list(named.items()):
            if code == _NOT_STOCKED:
                named[listing_id] = self._activate(batch, listing_id, location)
        rest = sdk.PushOutcome.APPLIED
        if payload["userErrors"]:
            is_partial = payload.get("inventoryAdjustmentGroup") is not None
            rest = sdk.PushOutcome.UNKNOWN if is_partial else sdk.PushOutcome.NOT_APPLIED
        return tuple(
            _result(entry.channel_listing_id, named, rest, answer.at) for entry in batch.entries
        )

    def location(self) -> str:
        """Where quantities are set: as configured, or the shop's only active location."""
        with self._lock:
            if self._location is None:
                self._location = self._only_location()
            return self._location

    def _only_location(self) -> str:
        answer = self._client.run("Locations", {}, priority=sdk.Priority.READ)
        active = [each for each in answer.fields["locations"]["nodes"] if each["isActive"]]
        if len(active) != 1:
            names = ", ".join(f"{each['name']} = {each['id']}" for each in active)
            raise sdk.FixAccount(
                f"the shop has {len(active)} active locations: say in settings.location_ids which "
                f"of them is which of yours ({names})"
            )
        return str(active[0]["id"])

    def _activate(self, batch: sdk.StockBatch, listing_id: str, location: str) -> tuple[str, str]:
        """Stock a stock item at our location; its quantity follows with the next batch."""
        key = render.idempotency_key("activate", batch.key, listing_id)
        variables = {"item": listing_id, "location": location, "key": key}
        answer = self._client.run("Activate", variables, priority=sdk.Priority.WRITE)
        errors = (answer.fields.get("inventoryActivate") or {}).get("userErrors")
        if errors:
            return "NOT_ACTIVATED", str(errors[0].get("message"))[:300]
        return _NOT_STOCKED, "it is stocked at the location now; the quantity is sent again"


def _by_entry(
    errors: Sequence[Mapping[str, Any]], batch: sdk.StockBatch
) -> dict[str, tuple[str, str]]:
    """Code and message by listing; raises where an error concerns the call as a whole."""
    named: dict[str, tuple[str, str]] = {}
    for error in errors:
        code, message = str(error.get("code") or ""), str(error.get("message"))[:300]
        if code == "IDEMPOTENCY_CONCURRENT_REQUEST":
            raise sdk.OutcomeUnknown(f"the same batch is still being applied: {message}")
        if code == "INVALID_LOCATION":
            raise sdk.FixAccount(f"{message}: check settings.location_ids, then resume the account")
        path = [str(step) for step in error.get("field") or ()]
        index = path[_INDEX_AT] if len(path) > _INDEX_AT else ""
        if index.isascii() and index.isdecimal() and int(index) < len(batch.entries):
            named[batch.entries[int(index)].channel_listing_id] = (code, message)
        elif code not in _NEW_KEY:
            raise sdk.Rejected(f"the shop refuses the batch: {code} {message}")
    return named


def _result(
    listing_id: str, named: Mapping[str, tuple[str, str]], rest: sdk.PushOutcome, at: datetime
) -> sdk.PushResult:
    code, reason = named.get(listing_id, ("", ""))
    outcome = sdk.PushOutcome.REJECTED
    if listing_id not in named:
        outcome = rest
    elif code in _STALE:
        outcome = sdk.PushOutcome.STALE
    elif code == _NOT_STOCKED:
        outcome = sdk.PushOutcome.NOT_APPLIED
    elif not code:
        # The shop names no reason, so none is known to last: look at it, then send it again.
        outcome = sdk.PushOutcome.UNKNOWN
    return sdk.PushResult(
        channel_listing_id=listing_id,
        outcome=outcome,
        applied_at=at,
        reason=f"{code}: {reason}" if code or reason else "",
    )


def _quantities(answer: Answer) -> dict[str, int]:
    found = {}
    for stock_item in answer.fields["nodes"]:
        if stock_item and stock_item.get("tracked"):
            found[stock_item["id"]] = _available(stock_item["inventoryLevel"])
    return found


def _available(level: Mapping[str, Any] | None) -> int:
    """Available units; a stock item that is not stocked at our location shows none there."""
    if level is None:
        return 0
    shown = [each["quantity"] for each in level["quantities"] if each["name"] == "available"]
    if len(shown) != 1 or type(shown[0]) is not int:
        raise sdk.BadPayload("the shop's answer names no available quantity")
    return int(shown[0])


def _listing(variant: Mapping[str, Any]) -> sdk.ChannelListing:
    stock_item = variant["inventoryItem"]
    sku = (stock_item["sku"] or variant["sku"] or "").strip()
    warnings = []
    if not sku:
        warnings.append("the variant has no SKU")
    if stock_item["duplicateSkuCount"]:
        warnings.append(f"{stock_item['duplicateSkuCount']} other variants have this SKU")
    is_bundle = variant["requiresComponents"] is True
    if is_bundle:
        warnings.append("a bundle: the shop counts its components, push those")
    if variant["inventoryPolicy"] == "CONTINUE":
        warnings.append("the shop sells on when it is sold out")
    if not stock_item["tracked"]:
        warnings.append("the shop does not count its stock")
    return sdk.ChannelListing(
        channel_listing_id=stock_item["id"],
        channel_sku=sku,
        title=variant["displayName"],
        quantity=_available(stock_item["inventoryLevel"]) if stock_item["tracked"] else None,
        is_stocked=stock_item["tracked"] and stock_item["requiresShipping"] and not is_bundle,
        warning="; ".join(warnings),
    )
