"""Inbox → canonical order: translates each message, merges it, maps SKUs, counts what was taken.

One message that cannot be understood becomes a dead letter; it never stops the others. Nothing is
reserved here: the order is marked, and `reserve` looks.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from oms_sync.domain.events import Event
from oms_sync.domain.listing import Listing, take
from oms_sync.domain.merge import first_sight, merge
from oms_sync.domain.order import (
    Hold,
    LineCounts,
    OrderFacts,
    OrderSight,
    OrderState,
    Version,
    hold_codes,
    line_counts,
    order_state,
    wanted,
)
from oms_sync.domain.values import parse_sku
from oms_sync.flows.manual import MANUAL, parse_manual_order
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork
from oms_sync.flows.records import (
    InboxMessage,
    MessageSource,
    StoredLine,
    StoredOrder,
    counts_of,
)
from oms_sync.sdk import BadPayload

log = structlog.get_logger(__name__)

BATCH_MAX = 100
BATCHES_MAX = 50
REMAP_MAX = 100
ORDER_SOURCES = (
    MessageSource.POLL,
    MessageSource.READ,
    MessageSource.NOTIFICATION,
    MessageSource.IMPORT,
)
GONE = "gone_at_channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One message, translated: a sight, or the news that the channel has no such order."""

    message: InboxMessage
    channel_order_id: str
    sight: OrderSight | None


def run(context: FlowContext) -> FlowReport:
    """Fold new messages into orders, then give lines their SKU where a listing got one."""
    done = 0
    for _ in range(BATCHES_MAX):
        count = _fold_batch(context)
        done += count
        if count < BATCH_MAX or context.is_stopping():
            break
    for _ in range(BATCHES_MAX):
        count = _remap(context)
        done += count
        if count < REMAP_MAX or context.is_stopping():
            break
    return FlowReport(done=done, is_more=done >= BATCH_MAX * BATCHES_MAX)


def _fold_batch(context: FlowContext) -> int:
    account = context.account.name
    with context.open_work() as work:
        messages = work.inbox.lock_new(account, ORDER_SOURCES, BATCH_MAX)
        if not messages:
            return 0
        reads = [read for message in messages if (read := _read(context, work, message))]
        _fold(context, work, reads)
        work.wake("reserve", account)
        work.commit()
    return len(messages)


def _read(context: FlowContext, work: UnitOfWork, message: InboxMessage) -> _Read | None:
    """Translate one message; what fails is buried with its bytes and its reason."""
    channel_order_id = message.channel_order_id or ""
    try:
        sight = _sight(context, message)
        if sight is not None and sight.channel_order_id != channel_order_id:
            raise BadPayload(
                f"asked for order {channel_order_id}, was shown {sight.channel_order_id}"
            )
        if sight is not None:
            first_sight(context.account.name, sight)
    except Exception as error:  # noqa: BLE001 - a connector's mistake costs one message only
        reason = f"{type(error).__name__}: {error}"
        work.inbox.bury(message.message_id, reason, at=context.clock.now())
        context.metrics.count("messages_dead", account=context.account.name)
        log.warning(
            "message.dead_lettered",
            account=context.account.name,
            message=message.message_id,
            reason=reason,
        )
        return None
    return _Read(message=message, channel_order_id=channel_order_id, sight=sight)


def _sight(context: FlowContext, message: InboxMessage) -> OrderSight | None:
    if message.topic == "order.deleted":
        version = Version(at=message.received_at, seen_at=message.received_at)
        return OrderSight(
            channel_order_id=message.channel_order_id or "",
            version=version,
            facts=OrderFacts(state=OrderState.CANCELLED, channel_status="deleted"),
        )
    if message.topic == "order.gone":
        return None
    if message.source is MessageSource.IMPORT:
        return parse_manual_order(message.body, message.received_at)
    parsed: OrderSight = context.session.parse_order(message.body, message.received_at)
    return parsed


def _fold(context: FlowContext, work: UnitOfWork, reads: list[_Read]) -> None:
    ids = list(dict.fromkeys(read.channel_order_id for read in reads))
    stored = work.orders.lock_by_channel_ids(context.account.name, ids)
    folded: dict[str, StoredOrder] = {}
    for channel_order_id in ids:
        mine = [read for read in reads if read.channel_order_id == channel_order_id]
        order = _fold_order(context, stored.get(channel_order_id), mine)
        if order is not None:
            folded[channel_order_id] = order
    _store(context, work, stored, folded)
    order_ids = {key: order.order_id for key, order in {**stored, **folded}.items()}
    work.inbox.settle(
        [read.message.message_id for read in reads],
        order_ids={
            read.message.message_id: order_ids[read.channel_order_id]
            for read in reads
            if read.channel_order_id in order_ids
        },
    )


def _fold_order(
    context: FlowContext, stored: StoredOrder | None, reads: list[_Read]
) -> StoredOrder | None:
    """The order after all reads; None when it was never known and no read shows it."""
    known = stored.known if stored else None
    payload_key = stored.payload_key if stored else ""
    is_gone = False
    for read in reads:
        if read.sight is None:
            # Should the order come back as it was, that is news: nothing counts as merged.
            is_gone, payload_key = True, ""
            continue
        is_gone = False
        seen = first_sight(context.account.name, read.sight)
        known = merge(known, seen) if known else seen
        payload_key = read.message.dedupe_key
    if known is None:
        return None
    now = context.clock.now()
    order = stored or StoredOrder(
        order_id=context.ids.new(), known=known, state=OrderState.PENDING, lines=(), imported_at=now
    )
    holds = tuple(hold for hold in order.holds if hold.code != GONE)
    if is_gone:
        known_gone = [hold for hold in order.holds if hold.code == GONE]
        holds += (*known_gone, Hold(code=GONE, since=now, actor="hub"))[:1]
    return replace(order, known=known, payload_key=payload_key, holds=holds)


def _store(
    context: FlowContext,
    work: UnitOfWork,
    stored: Mapping[str, StoredOrder],
    folded: Mapping[str, StoredOrder],
) -> None:
    """Map lines, book what the channel took, compute holds and states, write it all."""
    listings = _listings_of(context, work, folded.values())
    record = work.accounts.get(context.account.name)
    connected_at = record.first_connected_at if record else None
    orders = [
        _settled(context, _with_lines(context, order, listings, connected_at))
        for order in folded.values()
    ]
    changed = [
        order
        for order in orders
        if (before := stored.get(order.known.ref.channel_order_id)) is None
        or replace(order, payload_key="", is_reserve_due=False)
        != replace(before, payload_key="", is_reserve_due=False)
    ]
    known_ids = {order.order_id for order in stored.values()}
    booked, changed_listings = _book_taken(work, changed, known_ids)
    work.orders.add([order for order in booked if order.order_id not in known_ids])
    work.orders.save([order for order in booked if order.order_id in known_ids])
    work.listings.save(changed_listings)
    if changed_listings:
        work.wake("push_stock", context.account.name)
    _tell(context, work, stored, booked)


def _listings_of(
    context: FlowContext, work: UnitOfWork, orders: Iterable[StoredOrder]
) -> dict[str, Listing]:
    """Listings by channel listing id and, where a line has none, by unambiguous channel SKU."""
    lines = [known.line for order in orders for known in order.known.lines]
    account = context.account.name
    ids = {line.channel_listing_id for line in lines if line.channel_listing_id}
    skus = {line.channel_sku for line in lines if line.channel_sku and not line.channel_listing_id}
    found = work.listings.by_channel_ids(account, sorted(ids)) if ids else {}
    by_sku = work.listings.by_channel_skus(account, sorted(skus)) if skus else {}
    for channel_sku, candidates in by_sku.items():
        if len(candidates) == 1:
            found[f"sku:{channel_sku}"] = candidates[0]
    return found


def _with_lines(
    context: FlowContext,
    order: StoredOrder,
    listings: Mapping[str, Listing],
    connected_at: datetime | None,
) -> StoredOrder:
    """Give every known line its stored half, and its SKU where its listing has one."""
    mine = {line.channel_line_id: line for line in order.lines}
    is_history = connected_at is not None and order.placed_at < connected_at
    lines = []
    for known in order.known.lines:
        sight = known.line
        line = mine.get(sight.channel_line_id)
        if line is None:
            counts = line_counts(order.known, known, 0)
            # What left before we were connected left before anything was counted here.
            line = StoredLine(
                line_id=context.ids.new(),
                channel_line_id=sight.channel_line_id,
                shipped_booked=counts.shipped if is_history else 0,
                returned_booked=counts.returned if is_history else 0,
            )
        if line.sku is None and context.account.connector == MANUAL and sight.channel_sku:
            # Orders typed in by our own people name our own SKUs.
            line = replace(line, sku=parse_sku(sight.channel_sku))
        elif line.sku is None:
            key = sight.channel_listing_id or f"sku:{sight.channel_sku}"
            listing = listings.get(key)
            if listing is not None:
                line = replace(line, sku=listing.sku, listing_id=listing.listing_id)
        lines.append(line)
    return replace(order, lines=tuple(lines), is_reserve_due=True)


def _settled(context: FlowContext, order: StoredOrder) -> StoredOrder:
    """The order with the holds and the state that follow from what is known."""
    counts = counts_of(order)
    codes = hold_codes(order.known, has_unmapped_sku=_has_unmapped_sku(order, counts))
    own = {hold.code: hold for hold in order.holds}
    now = context.clock.now()
    kept = tuple(hold for hold in order.holds if hold.code in (GONE, "manual"))
    derived = tuple(
        own.get(code)
        or Hold(code=code, since=now, actor="channel" if code.startswith("channel:") else "hub")
        for code in codes
    )
    holds = (*kept, *derived)
    return replace(
        order, holds=holds, state=order_state(order.known, counts, has_holds=bool(holds))
    )


def _has_unmapped_sku(order: StoredOrder, counts: tuple[LineCounts, ...]) -> bool:
    return any(
        line.sku is None and wanted(order.known, known, count) > 0
        for known, line, count in zip(order.known.lines, order.lines, counts, strict=True)
    )


def _book_taken(
    work: UnitOfWork, orders: list[StoredOrder], known_ids: Collection[str]
) -> tuple[list[StoredOrder], list[Listing]]:
    """Book into each listing the units its channel took or put back since the last look."""
    takes: list[tuple[str, int, datetime]] = []
    booked = []
    for order in orders:
        is_new = order.order_id not in known_ids
        lines = []
        for line, count in zip(order.lines, counts_of(order), strict=True):
            was_busy = count.taken != line.taken_booked or (is_new and count.put_back)
            if line.listing_id and was_busy:
                takes += _takes(order, line, count, is_new=is_new)
                line = replace(line, taken_booked=count.taken)  # noqa: PLW2901 - its new self
            lines.append(line)
        booked.append(replace(order, lines=tuple(lines)))
    listings = work.listings.lock(sorted({listing_id for listing_id, _, _ in takes}))
    for listing_id, units, at in takes:
        listings[listing_id] = take(listings[listing_id], units, at=at)
    return booked, list(listings.values())


def _takes(
    order: StoredOrder, line: StoredLine, count: LineCounts, *, is_new: bool
) -> list[tuple[str, int, datetime]]:
    """(listing, units, when): a new order took its units when it was placed, also those put back
    since; what changed later, changed later.
    """
    assert line.listing_id is not None, "only what is offered takes from an offer"
    changed_at = order.known.version.at
    if not is_new:
        return [(line.listing_id, count.taken - line.taken_booked, changed_at)]
    sold = (line.listing_id, count.taken + count.put_back, order.placed_at)
    return [sold, (line.listing_id, -count.put_back, changed_at)] if count.put_back else [sold]


def _tell(
    context: FlowContext,
    work: UnitOfWork,
    stored: Mapping[str, StoredOrder],
    orders: list[StoredOrder],
) -> None:
    now, account = context.clock.now(), context.account.name
    events = []
    for order in orders:
        before = stored.get(order.known.ref.channel_order_id)
        if before is not None and _shown(order) == _shown(before):
            continue  # the same was seen again, later
        detail: dict[str, str | int | None] = {
            "state": order.state.value,
            "holds": ", ".join(hold.code for hold in order.holds),
        }
        events.append(
            Event(
                name="order.changed" if before else "order.imported",
                at=now,
                actor=account,
                order_id=order.order_id,
                account=account,
                detail=detail,
            )
        )
        if before is None:
            context.metrics.count("orders_in", account=account)
            log.info(
                "order.imported",
                account=account,
                order=order.order_id,
                channel_order_id=order.known.ref.channel_order_id,
                state=order.state.value,
            )
    work.timeline.add(events)


def _shown(order: StoredOrder) -> tuple[object, ...]:
    """What is worth telling of an order: everything but when it was seen."""
    lines = tuple(known.line for known in order.known.lines)
    return order.known.facts, lines, order.lines, order.holds, order.state


def _remap(context: FlowContext) -> int:
    """Lines that waited for their SKU get it once their listing is linked."""
    with context.open_work() as work:
        ids = work.orders.ids_with_unmapped_lines(context.account.name, REMAP_MAX)
        if not ids:
            return 0
        stored = {
            order.known.ref.channel_order_id: order for order in work.orders.lock(ids).values()
        }
        _store(context, work, stored, stored)
        work.wake("reserve", context.account.name)
        work.commit()
        return len(ids)
