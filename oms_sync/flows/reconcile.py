"""Both ends compared: every listing is looked at again, every recent order is listed again.

Stock: schedules looks, longest unseen first; `push_stock` takes them, and says drift when the
channel shows what nothing here explains. Orders: a sweep over a wide window finds what the feed of
changes missed; whatever differs goes through the inbox like everything else. What a channel holds
itself is read again, too, and so is each unfinished order, once a day.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from oms_sync.flows import pools
from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.flows.recheck import recheck
from oms_sync.flows.records import FeedPosition, MessageSource, NewMessage
from oms_sync.sdk import BadPayload, Capability, OrderFeed

log = structlog.get_logger(__name__)

SWEEP_HOURS = 48
#: a sweep that stood still for longer, as while the hub was away, is begun anew
STILL_HOURS = 6
PAGES_MAX = 200
LISTINGS_MAX = 500


def run(context: FlowContext) -> FlowReport:
    """Schedule looks at listings not seen for a period, and sweep the orders when that is due."""
    now = context.clock.now()
    scheduled = _schedule_looks(context, now)
    pooled = pools.refresh(context, now)
    rechecked = recheck(context, now)
    swept, is_swept = _sweep(context, now)
    return FlowReport(
        done=scheduled + pooled + rechecked + swept,
        is_more=scheduled == LISTINGS_MAX or not is_swept,
        next_at=_next_at(context, now),
    )


def _next_at(context: FlowContext, now: datetime) -> datetime:
    """After a period, or when a sweep that was put off is due, whichever is sooner."""
    period_end = now + timedelta(seconds=context.account.reconcile_seconds)
    with context.open_work() as work:
        position = work.feeds.get(context.account.name, OrderFeed.SWEEP)
    due_at = position.next_at if position else None
    return due_at if due_at is not None and now < due_at < period_end else period_end


def _schedule_looks(context: FlowContext, now: datetime) -> int:
    if Capability.READ_STOCK not in context.manifest.capabilities:
        return 0
    account = context.account
    before = now - timedelta(seconds=account.reconcile_seconds)
    with context.open_work() as work:
        oldest = work.listings.lock_oldest(account.name, before=before, limit=LISTINGS_MAX)
        if not oldest:
            return 0
        work.listings.save([replace(one, look_due_at=now) for one in oldest])
        work.wake("push_stock", account.name)
        work.commit()
    return len(oldest)


def _sweep(context: FlowContext, now: datetime) -> tuple[int, bool]:
    """List the orders of the last days again; answers (orders that were news, is it complete)."""
    if Capability.READ_ORDERS not in context.manifest.capabilities:
        return 0, True
    found = 0
    for _ in range(PAGES_MAX):
        position = _position(context, now)
        if position is None:
            return found, True
        count, is_last = _read_page(context, position, now)
        found += count
        if is_last:
            if found:
                log.info("orders.found_by_sweep", account=context.account.name, orders=found)
            return found, True
        if context.is_stopping():
            return found, False
    return found, False


def _position(context: FlowContext, now: datetime) -> FeedPosition | None:
    """The sweep under way, or a new one when it is due."""
    account = context.account.name
    with context.open_work() as work:
        position = work.feeds.get(account, OrderFeed.SWEEP)
        busy_at = _busy_at(position)
        if busy_at is not None and now - busy_at <= timedelta(hours=STILL_HOURS):
            return position
        if position is not None and position.next_at is not None and position.next_at > now:
            return None
        position = FeedPosition(
            account=account,
            feed=OrderFeed.SWEEP,
            since=now - timedelta(hours=SWEEP_HOURS),
            pass_started_at=now,
            drained_at=position.drained_at if position else None,
            page_at=busy_at,  # no page has come since: to begin anew ends no silence
        )
        work.feeds.put(position)
        work.commit()
        return position


def _busy_at(position: FeedPosition | None) -> datetime | None:
    """When the sweep under way last got on; None where none is."""
    if position is None or position.pass_started_at is None:
        return None
    return position.page_at or position.pass_started_at


def _read_page(context: FlowContext, position: FeedPosition, now: datetime) -> tuple[int, bool]:
    account = context.account
    seen_at = context.clock.now()
    page = context.session.read_orders(OrderFeed.SWEEP, position.cursor, position.since)
    if not page.is_last and page.cursor == position.cursor:
        raise BadPayload("the sweep answers the same cursor again without an end")
    with context.open_work() as work:
        added = work.inbox.add(
            [
                NewMessage(
                    account=account.name,
                    topic="order",
                    source=MessageSource.POLL,
                    body=raw.payload,
                    received_at=seen_at,
                    channel_order_id=raw.channel_order_id,
                )
                for raw in page.orders
            ]
        )
        after = replace(
            position,
            cursor=page.cursor,
            orders_read=position.orders_read + len(page.orders),
            page_at=seen_at,
        )
        if page.is_last:
            after = replace(
                after,
                cursor=None,
                pass_started_at=None,
                drained_at=position.pass_started_at,
                next_at=_next_sweep(context, position, now),
            )
        work.feeds.put(after)
        if added:
            work.wake("normalise", account.name)
        work.commit()
    return added, page.is_last


def _next_sweep(context: FlowContext, position: FeedPosition, now: datetime) -> datetime:
    """After a period, and no earlier than twice the time this sweep took after it began.

    So sweeps leave half of the spare calls to others, however many orders two days bring.
    """
    began_at = position.pass_started_at or now
    took = context.clock.now() - began_at
    period = timedelta(seconds=context.account.reconcile_seconds)
    return max(now + period, began_at + 2 * took)
