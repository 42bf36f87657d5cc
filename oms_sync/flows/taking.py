"""What a channel took from its own quantity: booked into the listing, once per unit."""

from dataclasses import dataclass, replace
from datetime import datetime

from oms_sync.domain.listing import Listing
from oms_sync.domain.order import LineCounts
from oms_sync.domain.taken import take, unsettle
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import Batch, StoredLine, StoredOrder, counts_of


def book_taken(
    work: UnitOfWork, batch: Batch, orders: list[StoredOrder]
) -> tuple[list[StoredOrder], list[Listing]]:
    """Book into each listing the units its channel took or put back since the last look."""
    takes: list[_Take] = []
    booked = []
    # A line that moved has its past in another order.
    everywhere = _counted(*batch.stored.values()) if batch.moved else {}
    for order in orders:
        before = batch.stored.get(order.order_id)
        counted = everywhere or _counted(*filter(None, (before,)))
        lines = []
        restocks = [known.line.quantity_restocked for known in order.known.lines]
        for line, count, restocked in zip(order.lines, counts_of(order), restocks, strict=True):
            is_new = before is None and line.line_id not in batch.moved
            last = counted.get(line.line_id)
            put_back = count.put_back - (last.put_back if last else 0)
            if line.listing_id and (count.taken != line.taken_booked or put_back):
                since = before.known.version.at if before else order.placed_at
                takes += _takes(order, line, count, last=last, since=None if is_new else since)
                line = replace(line, taken_booked=count.taken)  # noqa: PLW2901 - its new self
            cancelled = count.cancelled - (last.cancelled if last else 0)
            if line.listing_id and restocked is None and count.taken and cancelled > 0:
                takes.append(_silent(line.listing_id, order))
            lines.append(line)
        booked.append(replace(order, lines=tuple(lines)))
    listings = work.listings.lock(sorted({one.listing_id for one in takes}))
    for one in takes:
        listing = listings[one.listing_id]
        if one.is_silent:
            listings[one.listing_id] = unsettle(listing, at=one.at)
        else:
            listings[one.listing_id] = take(listing, one.units, at=one.at, since=one.since)
    return booked, list(listings.values())


def _counted(*orders: StoredOrder) -> dict[str, LineCounts]:
    return {
        line.line_id: count
        for order in orders
        for line, count in zip(order.lines, counts_of(order), strict=True)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Take:
    listing_id: str
    units: int
    at: datetime
    #: None where `at` is the very moment
    since: datetime | None = None
    #: the channel may have put units back, and never says whether it did
    is_silent: bool = False


def _silent(listing_id: str, order: StoredOrder) -> _Take:
    at = order.known.version.at
    return _Take(listing_id=listing_id, units=0, at=at, is_silent=True)


def _takes(
    order: StoredOrder,
    line: StoredLine,
    count: LineCounts,
    *,
    last: LineCounts | None,
    since: datetime | None,
) -> list[_Take]:
    """What a line took and put back: the first when it was placed, all else later than `since`.

    The two are booked apart: a push may have come between them.
    """
    assert line.listing_id is not None, "only what is offered takes from an offer"
    listing_id, changed_at = line.listing_id, order.known.version.at
    back = count.put_back - (last.put_back if last and last.taken == line.taken_booked else 0)
    sold = count.taken - line.taken_booked + back
    taken = _Take(listing_id=listing_id, units=sold, at=changed_at, since=since)
    if since is None:
        taken = replace(taken, at=order.placed_at)
    since = since or order.placed_at
    put_back = _Take(listing_id=listing_id, units=-back, at=changed_at, since=since)
    return [one for one in (taken, put_back) if one.units]
