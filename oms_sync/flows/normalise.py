"""Inbox → canonical order: translates each message, merges it, maps SKUs, counts what was taken.

One message that cannot be understood becomes a dead letter; it never stops the others. Nothing is
reserved here: the order is marked, and `reserve` looks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from oms_sync.domain.cancel_requests import is_declined, requested_lines, still_declined
from oms_sync.domain.listing import Listing
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
from oms_sync.domain.personal import without_people
from oms_sync.domain.values import parse_sku
from oms_sync.flows import asked_discovery
from oms_sync.flows.manual import MANUAL, parse_manual_order
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork
from oms_sync.flows.records import (
    CANCELLING,
    GONE,
    OWN_HOLDS,
    Batch,
    InboxMessage,
    MessageSource,
    Read,
    StoredLine,
    StoredOrder,
    counts_of,
)
from oms_sync.flows.regroup import regroup
from oms_sync.flows.regrouped import write
from oms_sync.flows.taking import book_taken
from oms_sync.flows.told_orders import tell
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


def _read(context: FlowContext, work: UnitOfWork, message: InboxMessage) -> Read | None:
    """Translate one message; what fails is buried with its bytes and its reason."""
    channel_order_id = message.channel_order_id or ""
    try:
        sight = _sight(context, message)
        is_another = sight is not None and sight.channel_order_id != channel_order_id
        if sight is not None and is_another and not context.manifest.has_portable_lines:
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
    return Read(message=message, channel_order_id=channel_order_id, sight=sight)


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


def _fold(context: FlowContext, work: UnitOfWork, reads: list[Read]) -> None:
    batch = (regroup if context.manifest.has_portable_lines else _group)(context, work, reads)
    _store(context, work, batch)
    work.inbox.settle(
        [read.message.message_id for read in reads],
        order_ids={
            read.message.message_id: batch.owners[read.channel_order_id]
            for read in reads
            if read.channel_order_id in batch.owners
        },
    )


def _group(context: FlowContext, work: UnitOfWork, reads: list[Read]) -> Batch:
    """Fold the reads of each order, where an order keeps its id for good."""
    account = context.account.name
    ids = list(dict.fromkeys(read.channel_order_id for read in reads))
    stored = work.orders.lock_by_channel_ids(account, ids)
    folded: dict[str, StoredOrder] = {}
    for channel_order_id in ids:
        mine = [read for read in reads if read.channel_order_id == channel_order_id]
        order = _fold_order(context, stored.get(channel_order_id), mine)
        if order is not None:
            folded[channel_order_id] = order
    return Batch(
        record=work.accounts.get(account),
        stored={order.order_id: order for order in stored.values()},
        orders=list(folded.values()),
        owners={key: order.order_id for key, order in {**stored, **folded}.items()},
    )


def _fold_order(
    context: FlowContext, stored: StoredOrder | None, reads: list[Read]
) -> StoredOrder | None:
    """The order after all reads; None when it was never known and no read shows it."""
    known = stored.known if stored else None
    declined = stored.declined if stored else None
    payload_key = stored.payload_key if stored else ""
    is_gone = False
    for read in reads:
        if read.sight is None:
            # Should the order come back as it was, that is news: nothing counts as merged.
            is_gone, payload_key = True, ""
            continue
        is_gone = False
        seen = first_sight(context.account.name, read.sight)
        declined = still_declined(declined, seen)
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
    return replace(order, known=known, payload_key=payload_key, holds=holds, declined=declined)


def _store(context: FlowContext, work: UnitOfWork, batch: Batch) -> None:
    """Map lines, book what the channel took, compute holds and states, write it all."""
    listings = _listings_of(context, work, batch.orders)
    connected_at = batch.record.first_connected_at if batch.record else None
    orders = [
        _settled(context, _with_lines(context, _forgotten(order), listings, connected_at))
        for order in batch.orders
    ]
    changed = [
        order
        for order in orders
        if (before := batch.stored.get(order.order_id)) is None
        or replace(order, payload_key="", is_reserve_due=False)
        != replace(before, payload_key="", is_reserve_due=False)
    ]
    booked, changed_listings = book_taken(work, batch, changed)
    write(context, work, batch, booked)
    work.listings.save(changed_listings)
    if changed_listings:
        work.wake("push_stock", context.account.name)
    tell(context, work, batch, booked)
    asked_discovery.ask_for_orders(context, work, booked, batch.stored)
    if any(_asks_to_cancel(order) for order in booked):
        work.wake("write_back", context.account.name)


def _forgotten(order: StoredOrder) -> StoredOrder:
    """The order without the people a channel may show again of one that was erased."""
    return replace(order, known=without_people(order.known)) if order.erased_at else order


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
    kept = tuple(hold for hold in order.holds if hold.code in OWN_HOLDS)
    derived = tuple(
        own.get(code)
        or Hold(code=code, since=now, actor="channel" if code.startswith("channel:") else "hub")
        for code in codes
        if not is_declined(order.declined, order.known, code)
    )
    holds = (*kept, *derived)
    return replace(
        order, holds=holds, state=order_state(order.known, counts, has_holds=bool(holds))
    )


def _asks_to_cancel(order: StoredOrder) -> bool:
    """True when the buyer wants to cancel, or this hub does and the channel may have shown it."""
    codes = [hold.code for hold in order.holds]
    return CANCELLING in codes or requested_lines(codes) is not None


def _has_unmapped_sku(order: StoredOrder, counts: tuple[LineCounts, ...]) -> bool:
    return any(
        line.sku is None and wanted(order.known, known, count) > 0
        for known, line, count in zip(order.known.lines, order.lines, counts, strict=True)
    )


def _remap(context: FlowContext) -> int:
    """Lines that waited for their SKU get it once their listing is linked."""
    with context.open_work() as work:
        ids = work.orders.ids_with_unmapped_lines(context.account.name, REMAP_MAX)
        if not ids:
            return 0
        stored = work.orders.lock(ids)
        record = work.accounts.get(context.account.name)
        _store(context, work, Batch(record=record, stored=stored, orders=list(stored.values())))
        work.wake("reserve", context.account.name)
        work.commit()
        return len(ids)
