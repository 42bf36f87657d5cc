"""How the fake channel works off a stock batch: entry by entry, as badly as its knobs say."""

from typing import TYPE_CHECKING

from oms_sync.sdk.fake_books import FakeEffect
from oms_sync.sdk.messages import PushOutcome, PushResult, StockBatch, StockPush

if TYPE_CHECKING:
    from oms_sync.sdk.fake import FakeChannel


def apply_batch(channel: "FakeChannel", batch: StockBatch) -> tuple[PushResult, ...]:
    """Set the quantities; answers one result per entry, in whatever order (F08)."""
    faults, last = channel.faults, len(batch.entries) - 1
    is_partial = faults.fires("F08")
    results = [
        _result(channel, entry, PushOutcome.NOT_APPLIED, "try again")
        if is_partial and (number == 0 or (number < last and faults.coin()))
        else _apply_entry(channel, entry, batch.key)
        for number, entry in enumerate(batch.entries)
    ]
    return tuple(reversed(results) if is_partial else results)


def _apply_entry(channel: "FakeChannel", entry: StockPush, key: str) -> PushResult:
    books, listing_id, quantity = channel.books, entry.channel_listing_id, entry.quantity
    listing = books.listings.get(listing_id)
    if listing is None or not listing.is_stocked or quantity < 0:
        return _result(channel, entry, PushOutcome.REJECTED, "no such stock is counted here")
    is_comparing = channel.options.has_compare_and_set and entry.expected is not None
    if is_comparing and entry.expected != listing.quantity:
        return _result(channel, entry, PushOutcome.STALE, f"it shows {listing.quantity}")
    if not channel.faults.fires("F09"):
        books.set_quantity(listing_id, quantity)
        channel.effects.append(
            FakeEffect(
                kind="quantity_set", target=listing_id, at=books.stamp(), key=key, quantity=quantity
            )
        )
        if channel.faults.fires("F40"):
            channel.mail.send("listings/update", listing_id, at=books.now(), quantity=quantity)
    is_later = channel.options.answers_accepted
    return _result(channel, entry, PushOutcome.ACCEPTED if is_later else PushOutcome.APPLIED)


def _result(
    channel: "FakeChannel", entry: StockPush, outcome: PushOutcome, reason: str = ""
) -> PushResult:
    return PushResult(
        channel_listing_id=entry.channel_listing_id,
        outcome=outcome,
        applied_at=channel.books.stamp(),
        reason=reason,
    )
