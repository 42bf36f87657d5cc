"""Quantities: read them, and set the merchant's own, one by one or as a feed.

A SKU whose stock Amazon holds is never written: a quantity would turn the offer into one the seller
ships. So nothing is sent without a recent reading that shows DEFAULT alone.
"""

import threading
from collections.abc import Mapping, Sequence
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


class StockDesk:
    """Everything about quantities for one account."""

    def __init__(self, client: Client, request: sdk.OpenRequest) -> None:
        self._client, self._clock, self._may_write = client, request.clock, request.may_write
        self._bulk_threshold: int = request.settings.bulk_threshold
        self._feeds = FeedDesk(client, request)
        self._lock = threading.Lock()
        self._readings: dict[str, Reading] = {}

    def read(self, skus: Sequence[str]) -> sdk.StockReading:
        """What Amazon shows; what it does not know, or does not let us set, is absent."""
        readings, read_at = self._look(skus, sdk.Priority.READ)
        return sdk.StockReading(
            quantities={
                sku: one.quantity for sku, one in readings.items() if one.quantity is not None
            },
            read_at=read_at,
        )

    def push(self, batch: sdk.StockBatch) -> tuple[sdk.PushResult, ...]:
        """Set all quantities of `batch`; nothing while a feed of ours may still be under way."""
        if not self._may_write:
            raise sdk.Rejected("quantities not sent: the account is in shadow mode")
        self._feeds.settle()
        at = self._client.now()
        refusals = self._gate(batch)
        good = [one for one in batch.entries if one.channel_listing_id not in refusals]
        results = [
            _result(sku, sdk.PushOutcome.REJECTED, at, reason) for sku, reason in refusals.items()
        ]
        if len(good) > self._bulk_threshold:
            results += self._feeds.push(good)
        elif good:
            results += self._patch_all(good)
        return tuple(results)

    def _gate(self, batch: sdk.StockBatch) -> dict[str, str]:
        """Why an entry may not be written, by SKU, on the ground of recent readings."""
        skus = [entry.channel_listing_id for entry in batch.entries]
        oldest = self._clock.monotonic() - READING_SECONDS_MAX
        known = {sku: one for sku in skus if (one := self._readings.get(sku)) is not None}
        fresh = {sku: one for sku, one in known.items() if one.read_at >= oldest}
        missing = [sku for sku in skus if sku not in fresh]
        for start in range(0, len(missing), SEARCH_MAX):
            fresh |= self._look(missing[start : start + SEARCH_MAX], sdk.Priority.WRITE)[0]
        return {
            sku: fresh[sku].refusal if sku in fresh else "Amazon does not know this SKU"
            for sku in skus
            if sku not in fresh or fresh[sku].refusal
        }

    def _patch_all(self, entries: Sequence[sdk.StockPush]) -> list[sdk.PushResult]:
        results: list[sdk.PushResult] = []
        is_any_sent = False
        for number, entry in enumerate(entries):
            try:
                results.append(self._patch(entry))
            except sdk.FixData as error:
                at, sku = self._client.now(), entry.channel_listing_id
                results.append(_result(sku, sdk.PushOutcome.REJECTED, at, str(error)))
            except sdk.ChannelError as error:
                if not is_any_sent:
                    raise  # an OutcomeUnknown of the first: nothing at all is known of the batch
                # What was taken in stays taken in; the error shows itself at the next call.
                return results + _rest(entries[number:], error, self._client.now())
            is_any_sent = True
        return results

    def _patch(self, entry: sdk.StockPush) -> sdk.PushResult:
        sku = render.check_sku(entry.channel_listing_id)
        answer = self._client.run(
            "patchListingsItem",
            self._client.seller_id,
            sku,
            marketplaceIds=self._readings[sku].marketplace_id,
            body=render.patch(entry.quantity),
            priority=sdk.Priority.WRITE,
        )
        status = answer.fields["status"]
        if status == "ACCEPTED":
            return _result(sku, sdk.PushOutcome.ACCEPTED, answer.at, "")
        # A refusal comes as a success with issues.
        issues = answer.fields.get("issues") or []
        texts = [f"{each.get('code')}: {each.get('message')}" for each in issues]
        return _result(sku, sdk.PushOutcome.REJECTED, answer.at, f"{status} {'; '.join(texts)}")

    def _look(
        self, skus: Sequence[str], priority: sdk.Priority
    ) -> tuple[dict[str, Reading], datetime]:
        """Readings by SKU; unknown ones are absent."""
        for sku in skus:
            render.check_sku(sku)
        # Identifiers are joined by commas: a SKU that holds one is asked for alone.
        plain = [sku for sku in dict.fromkeys(skus) if "," not in sku]
        read_at = self._client.now()
        found: list[Mapping[str, Any]] = []
        for start in range(0, len(plain), SEARCH_MAX):
            answer = self._client.run(
                "searchListingsItems",
                self._client.seller_id,
                **self._wanted(),
                identifiersType="SKU",
                identifiers=",".join(plain[start : start + SEARCH_MAX]),
                pageSize=SEARCH_MAX,
                priority=priority,
            )
            read_at = min(read_at, answer.at) if found else answer.at
            found += answer.fields["items"]
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
        shown = listing.get("fulfillmentAvailability")
        if not isinstance(shown, list):
            raise sdk.ChannelDown("a listing came back without the quantities that were asked for")
        by_code = {each["fulfillmentChannelCode"]: each.get("quantity") for each in shown}
        refusal = ""
        if any(code.startswith("AMAZON") for code in by_code):
            refusal = BY_AMAZON
        elif set(by_code) - {MERCHANT}:
            refusal = SEVERAL_PLACES
        elif MERCHANT not in by_code:
            refusal = NOT_OFFERED
        # An offer that was never given a quantity shows DEFAULT without one: nothing to buy.
        quantity = None if refusal else by_code[MERCHANT] or 0
        if quantity is not None and (type(quantity) is not int or quantity < 0):
            raise sdk.BadPayload(f"{str(quantity)[:40]!r} is no quantity")
        sold_in = {each.get("marketplaceId") for each in listing.get("summaries") or ()}
        ours = [each for each in self._client.marketplace_ids if each in sold_in]
        return Reading(
            quantity=quantity,
            marketplace_id=(ours or self._client.marketplace_ids)[0],
            refusal=refusal,
            read_at=self._clock.monotonic(),
        )

    def _remember(self, readings: Mapping[str, Reading]) -> None:
        with self._lock:
            self._readings |= readings
            for old in list(self._readings)[: max(0, len(self._readings) - REMEMBERED_MAX)]:
                del self._readings[old]


def _rest(
    entries: Sequence[sdk.StockPush], error: sdk.ChannelError, at: datetime
) -> list[sdk.PushResult]:
    """The entry that failed, and those behind it, which were not sent."""
    is_unknown = isinstance(error, sdk.OutcomeUnknown)
    first = sdk.PushOutcome.UNKNOWN if is_unknown else sdk.PushOutcome.NOT_APPLIED
    outcomes = [first, *(sdk.PushOutcome.NOT_APPLIED for _ in entries[1:])]
    return [
        _result(entry.channel_listing_id, outcome, at, str(error))
        for entry, outcome in zip(entries, outcomes, strict=True)
    ]


def _result(sku: str, outcome: sdk.PushOutcome, at: datetime, reason: str) -> sdk.PushResult:
    return sdk.PushResult(
        channel_listing_id=sku, outcome=outcome, applied_at=at, reason=reason[:_TEXT_MAX]
    )
