"""Listings and quantities: discover, read and set them at the one location the hub writes to."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
_NO_LOCATION: Final = "INVALID_LOCATION"
#: our further locations show more than may be sold
_BEYOND: Final = "SHOWN_ELSEWHERE"
ACTIVATED_MAX: Final = 10_000
_INDEX_AT: Final = 2
#: code and message
Refused = tuple[str, str]


class Places:
    """The shop's locations that are in this hub's care."""

    def __init__(self, client: Client, managed: Sequence[str]) -> None:
        self._client, self._managed = client, tuple(managed)
        self._found: tuple[Mapping[str, Any], ...] | None = None
        self._lock = threading.Lock()

    def ours(self) -> frozenset[str]:
        """As configured; else every location but those of fulfilment services.

        Also closed ones: what was shipped from there stays shipped by us.
        """
        own = (each["id"] for each in self._all() if not each["isFulfillmentService"])
        return frozenset(self._managed or own)

    def has_services(self) -> bool:
        """Whether a fulfilment service ships from a location of its own."""
        return any(each["isFulfillmentService"] for each in self._active())

    def unknown(self) -> tuple[str, ...]:
        """The configured locations that the shop does not have, or has closed."""
        active = {each["id"] for each in self._active()}
        return tuple(one for one in self._managed if one not in active)

    def main(self) -> str:
        """Where quantities are set: the first configured, or the only active location."""
        if self._managed:
            return self._managed[0]
        own = self._own()
        if len(own) != 1:
            names = ", ".join(f"{each['name']} = {each['id']}" for each in own)
            raise sdk.FixAccount(
                f"the shop has {len(own)} active locations: say in settings.location_ids which "
                f"of them is which of yours ({names})"
            )
        return str(own[0]["id"])

    def others(self) -> tuple[str, ...]:
        """The further locations that are configured."""
        return self._managed[1:]

    def forget(self) -> None:
        """Ask the shop anew when next needed: locations come and go."""
        with self._lock:
            self._found = None

    def _own(self) -> list[Mapping[str, Any]]:
        return [each for each in self._active() if not each["isFulfillmentService"]]

    def _active(self) -> list[Mapping[str, Any]]:
        return [each for each in self._all() if each["isActive"]]

    def _all(self) -> tuple[Mapping[str, Any], ...]:
        with self._lock:
            if self._found is None:
                answer = self._client.run("Locations", {}, priority=sdk.Priority.READ)
                self._found = tuple(answer.fields["locations"]["nodes"])
            return self._found


class StockDesk:
    """Everything about quantities for one account.

    A quantity is what all locations in our care show together; the first of them takes every
    change, so that nothing on a shelf of another one is sold besides.
    """

    def __init__(self, client: Client, places: Places) -> None:
        self._client, self._places = client, places
        #: stocked by us at our location; one that is not there after all is refused
        self._activated: dict[str, None] = {}

    def listings(self, cursor: str | None) -> sdk.ListingPage:
        """The next page of the shop's variants."""
        answer = self._client.run_sized(
            "Listings",
            {"after": cursor, "location": self._places.main()},
            LISTINGS_FIRST,
            priority=sdk.Priority.BULK,
        )
        variants = answer.fields["productVariants"]
        page = variants["pageInfo"]
        if page["hasNextPage"] and page["endCursor"] in (None, cursor):
            raise sdk.BadPayload("the shop's list of variants goes round in circles")
        listings = [_listing(node) for node in variants["nodes"]]
        besides = self._besides([one.channel_listing_id for one in listings], sdk.Priority.BULK)
        return sdk.ListingPage(
            listings=tuple(_with(one, besides[one.channel_listing_id]) for one in listings),
            cursor=page["endCursor"] if page["hasNextPage"] else None,
        )

    def read(self, channel_listing_ids: Sequence[str]) -> sdk.StockReading:
        """What the shop shows; unknown and uncounted listings are absent."""
        ids = list(dict.fromkeys(channel_listing_ids))
        levels, read_at = self._levels(ids, self._places.main(), sdk.Priority.READ)
        # Read later than `read_at`: a sale in between shows less than there was, never more.
        besides = self._besides(ids, sdk.Priority.READ)
        quantities = {one: (shown or 0) + besides[one] for one, shown in levels.items()}
        return sdk.StockReading(quantities=quantities, read_at=read_at)

    def push(self, batch: sdk.StockBatch) -> tuple[sdk.PushResult, ...]:
        """Set all quantities of `batch` in one call, all or nothing."""
        location = self._places.main()
        ids = [entry.channel_listing_id for entry in batch.entries]
        besides = self._besides(ids, sdk.Priority.WRITE)
        variables = render.set_stock(batch, location, besides)
        answer = self._client.run("SetStock", variables, priority=sdk.Priority.WRITE)
        payload = answer.fields.get("inventorySetQuantities")
        if not isinstance(payload, dict) or not isinstance(payload.get("userErrors"), list):
            raise sdk.OutcomeUnknown("the shop's answer to a push of stock holds no result")
        named = _by_entry(payload["userErrors"], batch)
        if not payload["userErrors"]:
            rest, named = sdk.PushOutcome.APPLIED, _beyond(batch, besides)
        elif payload.get("inventoryAdjustmentGroup") is not None:
            rest = sdk.PushOutcome.UNKNOWN
        else:
            rest, named = sdk.PushOutcome.NOT_APPLIED, self._stock_up(named, batch, location)
        return tuple(_result(one, named, rest, answer.at) for one in ids)

    def _levels(
        self, ids: Sequence[str], location: str, priority: sdk.Priority
    ) -> tuple[dict[str, int | None], datetime]:
        """What each counted stock item shows at a location, and when; None: not stocked there."""
        levels: dict[str, int | None] = {}
        read_at: datetime | None = None
        waiting = list(ids)
        while waiting or read_at is None:  # each turn takes ids away or halves the size
            size = self._client.size("Stock", len(waiting))
            variables = {"ids": waiting[:size], "location": location}
            try:
                answer = self._client.run("Stock", variables, priority=priority)
            except CostTooHigh:
                self._client.halve("Stock", size)
                continue
            levels |= _quantities(answer)
            read_at = min(read_at or answer.at, answer.at)
            waiting = waiting[size:]
        return levels, read_at

    def _besides(self, ids: Sequence[str], priority: sdk.Priority) -> Mapping[str, int]:
        """What our further locations show of each, together."""
        shown = Counter(dict.fromkeys(ids, 0))
        for location in self._places.others():
            for one, quantity in self._levels(ids, location, priority)[0].items():
                shown[one] += quantity or 0
        return shown

    def _stock_up(
        self, named: Mapping[str, Refused], batch: sdk.StockBatch, location: str
    ) -> dict[str, Refused]:
        """The refusals; a stock item that is not at our location yet is stocked there.

        What such a push is refused with differs from version to version, so the level decides.
        """
        refused = dict(named)
        if refused:
            levels, _ = self._levels(list(refused), location, sdk.Priority.WRITE)
            for one in (one for one in refused if one in levels and levels[one] is None):
                refused[one] = self._activate(batch, one, location, refused[one])
        for code, message in refused.values():
            if code == _NO_LOCATION:
                raise sdk.FixAccount(
                    f"{message}: check settings.location_ids, then resume the account"
                )
        return refused

    def _activate(
        self, batch: sdk.StockBatch, listing_id: str, location: str, refused: Refused
    ) -> Refused:
        """Stock a stock item at our location, once; its quantity follows with the next batch."""
        if listing_id in self._activated:
            return "NOT_ACTIVATED", f"stocked at the location, and not there: {refused[1]}"
        key = render.idempotency_key("activate", batch.key, listing_id)
        variables = {"item": listing_id, "location": location, "key": key}
        answer = self._client.run("Activate", variables, priority=sdk.Priority.WRITE)
        errors = (answer.fields.get("inventoryActivate") or {}).get("userErrors")
        if errors and refused[0] == _NO_LOCATION:
            return refused
        if errors:
            return "NOT_ACTIVATED", str(errors[0].get("message"))[:300]
        self._activated[listing_id] = None
        while len(self._activated) > ACTIVATED_MAX:
            del self._activated[next(iter(self._activated))]
        return _NOT_STOCKED, "it is stocked at the location now; the quantity is sent again"


def _by_entry(errors: Sequence[Mapping[str, Any]], batch: sdk.StockBatch) -> dict[str, Refused]:
    """Code and message by listing; raises where an error concerns the call as a whole."""
    named: dict[str, Refused] = {}
    for error in errors:
        code, message = str(error.get("code") or ""), str(error.get("message"))[:300]
        if code == "IDEMPOTENCY_CONCURRENT_REQUEST":
            raise sdk.OutcomeUnknown(f"the same batch is still being applied: {message}")
        path = [str(step) for step in error.get("field") or ()]
        index = path[_INDEX_AT] if len(path) > _INDEX_AT else ""
        if index.isascii() and index.isdecimal() and int(index) < len(batch.entries):
            named[batch.entries[int(index)].channel_listing_id] = (code, message)
        elif code == _NO_LOCATION:
            raise sdk.FixAccount(f"{message}: check settings.location_ids, then resume the account")
        elif code not in _NEW_KEY:
            raise sdk.Rejected(f"the shop refuses the batch: {code} {message}")
    return named


def _result(
    listing_id: str, named: Mapping[str, Refused], rest: sdk.PushOutcome, at: datetime
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


def _beyond(batch: sdk.StockBatch, besides: Mapping[str, int]) -> dict[str, Refused]:
    """Entries less than which is shown at our further locations, so that zero here is too much."""
    return {
        entry.channel_listing_id: (
            _BEYOND,
            f"{entry.quantity} may be sold, and the shop shows {besides[entry.channel_listing_id]} "
            "at other locations of settings.location_ids: lower those there",
        )
        for entry in batch.entries
        if entry.quantity < besides[entry.channel_listing_id]
    }


def _quantities(answer: Answer) -> dict[str, int | None]:
    found = {}
    for stock_item in answer.fields["nodes"]:
        if stock_item and stock_item.get("tracked"):
            found[stock_item["id"]] = _available(stock_item["inventoryLevel"])
    return found


def _available(level: Mapping[str, Any] | None) -> int | None:
    """Available units; None for a stock item that is not stocked at the location."""
    if level is None:
        return None
    shown = [each["quantity"] for each in level["quantities"] if each["name"] == "available"]
    if len(shown) != 1 or type(shown[0]) is not int:
        raise sdk.BadPayload("the shop's answer names no available quantity")
    return int(shown[0])


def _with(listing: sdk.ChannelListing, besides: int) -> sdk.ChannelListing:
    """The listing with what further locations show of it."""
    if listing.quantity is None:
        return listing
    return replace(listing, quantity=listing.quantity + besides)


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
    shown = _available(stock_item["inventoryLevel"]) or 0
    return sdk.ChannelListing(
        channel_listing_id=stock_item["id"],
        channel_sku=sku,
        title=variant["displayName"],
        quantity=shown if stock_item["tracked"] else None,
        is_stocked=stock_item["tracked"] and stock_item["requiresShipping"] and not is_bundle,
        warning="; ".join(warnings),
    )
