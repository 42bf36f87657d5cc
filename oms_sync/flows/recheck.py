"""Orders that are not finished are read again once a day, whatever told us of them or did not.

A change that webhook, feed and sweep all missed is so seen before the goods leave. The re-reads
are spread over the time until the next run: what is announced meanwhile goes in between.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from oms_sync.flows.ports import FlowContext
from oms_sync.sdk import Capability

#: how long an order may go unread
CHECK_SECONDS = 86_400.0
ORDERS_MAX = 500
#: what is about to leave the channel's horizon may have left it once it is read, as after an
#: outage, and would then seem gone
MARGIN = timedelta(days=2)
#: with more re-reads than this ahead, whoever asked for them, no more are armed
WAITING_MAX = 50


def recheck(context: FlowContext, now: datetime) -> int:
    """Arm re-reads of orders not read for a day, longest ago first; answers how many.

    What is older than the channel shows, or soon will be, is left out: that it is not answered
    would say nothing.
    """
    if Capability.READ_ORDERS not in context.manifest.capabilities:
        return 0
    account = context.account.name
    period = timedelta(seconds=context.account.reconcile_seconds)
    with context.open_work() as work:
        # A sweep that cannot end has us run again and again: one stretch of re-reads at a time.
        if len(work.rereads.due(account, at=now + period, limit=WAITING_MAX + 1)) > WAITING_MAX:
            return 0
        ids = work.orders.take_unchecked(
            account,
            before=now - timedelta(seconds=CHECK_SECONDS),
            since=now - timedelta(days=context.manifest.order_horizon_days) + MARGIN,
            limit=ORDERS_MAX,
            at=now,
        )
        if not ids:
            return 0
        for due_at, chunk in _spread(context, ids, now):
            work.rereads.arm(account, chunk, at=due_at)
        work.wake("ingest", account)
        work.commit()
    return len(ids)


def _spread(
    context: FlowContext, ids: Sequence[str], now: datetime
) -> list[tuple[datetime, Sequence[str]]]:
    """As many at once as one call reads, at a pace that takes a full run a whole period."""
    size = max(1, context.manifest.order_read_max)
    pause = timedelta(seconds=context.account.reconcile_seconds * size / ORDERS_MAX)
    starts = range(0, len(ids), size)
    return [
        (now + number * pause, ids[start : start + size]) for number, start in enumerate(starts)
    ]
