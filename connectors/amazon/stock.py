"""Quantities: read them, and set the merchant's own, one by one or as a feed.

A SKU whose stock Amazon holds is never written: a quantity would turn the offer into one the seller
ships. So nothing is sent without a recent reading that shows DEFAULT alone.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from connectors.amazon import render
from connectors.amazon.client import Client
from connectors.amazon.faults import NotFound, Refused
from connectors.amazon.feeds import FeedDesk
from oms_sync import sdk

SEARCH_MAX: Final = 20
#: a reading older than this no longer proves how a SKU is fulfilled
READING_SECONDS_MAX: Final = 3600.0
REMEMBERED_MAX: Final = 50_000
#: a patch may still be on its way for so long: of it and a feed nobody could say which comes last
PATCH_SECONDS: Final = 120.0
MERCHANT: Final = "DEFAULT"
BY_AMAZON: Final = "Amazon holds the stock of this SKU: it is never written"
SEVERAL_PLACES: Final = (
    "its stock is kept per location at Amazon: it is not written; turn multi-location inventory "
    "off for it, or unlink it"
)
NOT_OFFERED: Final = "Amazon shows no quantity of the seller's own for it: complete the offer"
_TEXT_MAX: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a SKU is fulfilled, and what it shows; `refusal` says why it is not written."""

    quantity: int | None
    marketplace_id: str
    refusal: str
    #: on our monotonic clock
    read_at: float
    #: what Amazon calls an error of the listing: it may take quantities and show none of them
    problem: str = ""


class StockDesk:
    """Everything about quantities for one account."""

    def __init__(self, client: Client, request: sdk.OpenRequest) -> None:
        self._client, self._clock, self._may_write = client, request.clock, request.may_write
        self._bulk_threshold: int = request.settings.bulk_threshold
        self._feeds = FeedDesk(client, request)
        self._lock = threading.Lock()
        self._readings: dict[str, Reading] = {}
        #: when a SKU was patched last, on our monotonic clock
        self._patched: dict[str, float] = {}

    def read(self, skus: Sequence[str]) -> sdk.StockReading:
        """What Amazon shows; what it does not know, or does not let us set, is absent.

        While a feed of ours is under way nothing it shows can be gone by.
        """
        if self._feeds.is_noted:
            self._feeds.settle()
        readings, read_at = self._look(skus, sdk.Priority.READ)
        return sdk.StockReading(
            quantities={
                sku: one.quantity for sku, one in readings.items() if one.quantity is not None
            },
            read_at=read_at,
            problems={sku: one.problem for sku, one in readings.items() if one.problem},
        )

    def push(self, batch: sdk.StockBatch) -> tuple[sdk.PushResult, ...]:
        """Set all quantities of `batch`; nothing while a feed of ours may still be under way."""
        if not self._may_write:
            raise sdk.Rejected("quantities not sent: the account is in shadow mode")
        self._feeds.settle()
        at = self._client.now()
        readings = self._gate(batch)
        results: list[sdk.PushResult] = []
        places: dict[str, list[sdk.StockPush]] = {}
        for entry in batch.entries:
            reading = readings.get(entry.channel_listing_id)
            if reading is None or reading.refusal:
                reason = reading.refusal if reading else "Amazon does not know this SKU"
                results += _all([entry], sdk.PushOutcome.REJECTED, at, reason)
            else:
                places.setdefault(reading.marketplace_id, []).append(entry)
        return (*results, *self._send_all(places))

    def _gate(self, batch: sdk.StockBatch) -> dict[str, Reading]:
        """Recent readings by SKU: they say what may be written, and where."""
        skus = [entry.channel_listing_id for entry in batch.entries]
        oldest = self._clock.monotonic() - READING_SECONDS_MAX
        known = ((sku, self._readings.get(sku)) for sku in skus)
        fresh = {sku: one for sku, one in known if one is not None and one.read_at >= oldest}
        missing = [sku for sku in skus if sku not in fresh]
        for start in range(0, len(missing), SEARCH_MAX):
            fresh |= self._look(missing[start : start + SEARCH_MAX], sdk.Priority.WRITE)[0]
        return fresh

    def _send_all(self, places: Mapping[str, list[sdk.StockPush]]) -> list[sdk.PushResult]:
        """Few quantities one by one; then, per marketplace, many as a feed."""
        parts: list[tuple[str, list[sdk.StockPush], bool]] = []
        for place, entries in places.items():
            alone = [entry for entry in entries if self._is_patched(entry)]
            many = [entry for entry in entries if entry not in alone]
            if len(many) > self._bulk_threshold:
                parts.append((place, many, True))
            else:
                alone = entries
            parts[:0] = [(place, [entry], False) for entry in alone]
        results: list[sdk.PushResult] = []
        outcome, failure = sdk.PushOutcome.NOT_APPLIED, ""
        for number, (place, entries, is_bulk) in enumerate(parts):
            try:
                if not failure:
                    results += (self._feeds.push if is_bulk else self._patch)(entries, place)
                    continue
            except sdk.ChannelError as error:
                if number == 0:
                    raise  # an OutcomeUnknown of the first: nothing at all is known of the batch
                # What was taken in stays taken in; the error shows itself at the next call.
                failure = str(error) or type(error).__name__
                if isinstance(error, sdk.OutcomeUnknown):
                    outcome = sdk.PushOutcome.UNKNOWN
            results += _all(entries, outcome, self._client.now(), failure)
            outcome = sdk.PushOutcome.NOT_APPLIED
        return results

    def _is_patched(self, entry: sdk.StockPush) -> bool:
        """True while a patch of its own may still be on its way; then it is patched again."""
        at = self._patched.get(entry.channel_listing_id, float("-inf"))
        return self._clock.monotonic() - at < PATCH_SECONDS

    def _note_patch(self, sku: str) -> None:
        with self._lock:
            now = self._clock.monotonic()
            recent = {one: at for one, at in self._patched.items() if now - at < PATCH_SECONDS}
            self._patched = recent | {sku: now}

    def _patch(self, entries: Sequence[sdk.StockPush], place: str) -> list[sdk.PushResult]:
        (entry,) = entries
        self._note_patch(entry.channel_listing_id)
        try:
            answer = self._client.run(
                "patchListingsItem",
                self._client.seller_id,
                render.check_sku(entry.channel_listing_id),
                marketplaceIds=place,
                body=render.patch(entry.quantity),
                priority=sdk.Priority.WRITE,
            )
        except sdk.FixData as error:
            return _all(entries, sdk.PushOutcome.REJECTED, self._client.now(), str(error))
        status = answer.fields["status"]
        if status == "ACCEPTED":
            return _all(entries, sdk.PushOutcome.ACCEPTED, answer.at, "")
        # A refusal comes as a success with issues.
        reason = f"{status} {_said(answer.fields.get('issues') or [])}"
        return _all(entries, sdk.PushOutcome.REJECTED, answer.at, reason)

    def _look(
        self, skus: Sequence[str], priority: sdk.Priority
    ) -> tuple[dict[str, Reading], datetime]:
        """Readings of up to `SEARCH_MAX` SKUs; unknown ones are absent."""
        # Identifiers are joined by commas: a SKU that holds one is asked for alone.
        plain = [sku for sku in dict.fromkeys(skus) if "," not in sku]
        read_at = self._client.now()
        found: list[Mapping[str, Any]] = []
        if plain:
            answer = self._client.run(
                "searchListingsItems",
                self._client.seller_id,
                **self._wanted(),
                identifiersType="SKU",
                identifiers=",".join(plain),
                pageSize=SEARCH_MAX,
                priority=priority,
            )
            read_at, found = answer.at, list(answer.fields["items"])
        for sku in dict.fromkeys(sku for sku in skus if "," in sku):
            try:
                fields = self._client.run(
                    "getListingsItem",
                    self._client.seller_id,
                    sku,
                    **self._wanted(),
                    priority=priority,
                ).fields
            except (NotFound, Refused):
                continue
            found.append(fields)
        wanted = frozenset(skus)
        readings = {each["sku"]: self._reading(each) for each in found if each.get("sku") in wanted}
        self._remember(readings)
        return readings, read_at

    def _wanted(self) -> dict[str, str]:
        return {
            "marketplaceIds": ",".join(self._client.marketplace_ids),
            "includedData": "summaries,fulfillmentAvailability,issues",
        }

    def _reading(self, listing: Mapping[str, Any]) -> Reading:
        shown = listing.get("fulfillmentAvailability") or []
        if not shown and "summaries" not in listing:
            raise sdk.ChannelDown("a listing came back without the parts that were asked for")
        by_code = {each["fulfillmentChannelCode"]: each.get("quantity") for each in shown}
        # An offer that was never given a quantity shows DEFAULT without one: nothing to buy.
        quantity, refusal = by_code.get(MERCHANT) or 0, ""
        if any(code.startswith("AMAZON") for code in by_code):
            refusal = BY_AMAZON
        elif set(by_code) - {MERCHANT}:
            refusal = SEVERAL_PLACES
        elif not by_code:
            refusal = NOT_OFFERED
        elif type(quantity) is not int or quantity < 0:
            refusal = f"Amazon shows {str(quantity)[:40]!r}, which is no quantity"
        sold_in = {each.get("marketplaceId") for each in listing.get("summaries") or ()}
        ours = [each for each in self._client.marketplace_ids if each in sold_in]
        return Reading(
            quantity=None if refusal else quantity,
            marketplace_id=(ours or self._client.marketplace_ids)[0],
            refusal=refusal,
            read_at=self._clock.monotonic(),
            problem=_said(
                one for one in listing.get("issues") or () if one.get("severity") == "ERROR"
            ),
        )

    def _remember(self, readings: Mapping[str, Reading]) -> None:
        with self._lock:
            self._readings |= readings
            for old in list(self._readings)[: max(0, len(self._readings) - REMEMBERED_MAX)]:
                del self._readings[old]


def _said(issues: Iterable[Mapping[str, Any]]) -> str:
    """Amazon's own words of what is wrong."""
    texts = (f"{each.get('code')}: {each.get('message')}" for each in issues)
    return "; ".join(texts)[:_TEXT_MAX]


def _all(
    entries: Sequence[sdk.StockPush], outcome: sdk.PushOutcome, at: datetime, reason: str
) -> list[sdk.PushResult]:
    """The same result for each entry."""
    return [
        sdk.PushResult(
            channel_listing_id=entry.channel_listing_id,
            outcome=outcome,
            applied_at=at,
            reason=reason[:_TEXT_MAX],
        )
        for entry in entries
    ]
