"""Certifies each UTC day of an account once it is over: was everything the channel lists received?

A day that cannot be certified is an alarm; it is healed and tried again.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

from oms_sync.domain.completeness import Window, window_of_day
from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.flows.proofs import CertificateRecord, OrderList
from oms_sync.flows.reconcile_orders import (
    HUB,
    begin_list,
    compare_list,
    forget_list,
    fresh_seconds,
    is_outdated,
)
from oms_sync.flows.records import AccountRecord
from oms_sync.sdk import BadPayload, Capability, OrderFeed

#: days that were missed, such as while the hub was off, are certified later
CATCH_UP_DAYS = 7
#: so long a day waits for its orders to come in; then it is judged as it is
WAIT_SECONDS = 43_200
#: when a day that waits is looked at again
LOOK_AGAIN_SECONDS = 60


def run(context: FlowContext) -> FlowReport:
    """Go on with the list under way, or begin that of the oldest day that is due."""
    if Capability.LIST_ORDERS not in context.manifest.capabilities:
        return FlowReport()
    now, account = context.clock.now(), context.account.name
    with context.open_work() as work:
        record = work.accounts.get(account)
        order_list = work.order_lists.under_way(account, HUB)
        tried = work.certificates.latest(account, since=_first_day(now))
    if record is None or record.backfilled_at is None:
        return FlowReport()
    order_list = _still_fresh(context, order_list, now)
    if order_list is None:
        window, next_at = _due(context, record, tried, now)
        if window is None:
            return FlowReport(next_at=next_at)
        order_list = begin_list(context, window, owner=HUB)
    try:
        compared = compare_list(context, order_list)
    except BadPayload:
        forget_list(context, order_list)
        raise
    return FlowReport(done=len(compared.claim.orders) if compared else 0, is_more=True)


def _still_fresh(
    context: FlowContext, order_list: OrderList | None, now: datetime
) -> OrderList | None:
    if order_list is None or not is_outdated(order_list, now):
        return order_list
    forget_list(context, order_list)
    return None


def _due(
    context: FlowContext,
    record: AccountRecord,
    tried: Mapping[date, CertificateRecord],
    now: datetime,
) -> tuple[Window | None, datetime]:
    """The oldest day that can be judged now, and when to look again where there is none."""
    settle = timedelta(seconds=fresh_seconds(context))
    times = []
    for window in _days(context, record, now):
        last = tried.get(window.until.date() - timedelta(days=1))
        if last is not None and (last.is_issued or last.next_at is None):
            continue
        at = max(window.until + settle, last.next_at if last and last.next_at else window.until)
        if at > now:
            times.append(at)
        elif _is_in(context, window, now):
            return window, now
        else:
            times.append(now + timedelta(seconds=LOOK_AGAIN_SECONDS))
    return None, min(times, default=now + timedelta(seconds=LOOK_AGAIN_SECONDS))


def _is_in(context: FlowContext, window: Window, now: datetime) -> bool:
    """Everything visible after the day's end was read and worked off, or was waited for."""
    if now - window.until >= timedelta(seconds=WAIT_SECONDS):
        return True
    account = context.account.name
    visible_at = window.until + timedelta(seconds=context.manifest.visibility_lag_seconds)
    with context.open_work() as work:
        position = work.feeds.get(account, OrderFeed.CHANGES)
        if position is None or position.drained_at is None or position.drained_at < visible_at:
            return False
        # News of today may wait all day long; what came in until then has to be worked off.
        return not work.order_lists.has_waiting(account, until=position.drained_at)


def _first_day(now: datetime) -> date:
    return now.astimezone(UTC).date() - timedelta(days=CATCH_UP_DAYS)


def _days(context: FlowContext, record: AccountRecord, now: datetime) -> Iterator[Window]:
    """Days that may be certified, oldest first, and today: those the account was connected on,
    and whose orders were read from their first moment.
    """
    connected_at = record.first_connected_at or now
    read_since = connected_at - timedelta(days=context.account.backfill_days)
    for number in range(CATCH_UP_DAYS + 1):
        window = window_of_day(_first_day(now) + timedelta(days=number))
        if window.until > connected_at and window.since >= read_since:
            yield window
