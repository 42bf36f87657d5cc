"""Quantities that wait: growths for the orders placed before them, and what rests for a while.

Where a channel compares nothing, a number computed before its newest sales were known puts those
units on sale again. So a growth goes only when every order placed before it is in the books.
"""

from datetime import datetime, timedelta

from oms_sync.domain.listing import explain_rises, unrefused
from oms_sync.flows.looking import explained_until, read_until
from oms_sync.flows.ports import FlowContext
from oms_sync.sdk import Capability

WAITING_MAX = 500
ROUNDS_MAX = 50
#: orders that were read are booked within moments
BOOKED_WAIT_SECONDS = 1.0


def delays_growths(context: FlowContext) -> bool:
    """True where a sale may stay invisible for a while, and nothing guards a push against it."""
    manifest = context.manifest
    is_guarded = manifest.has_compare_and_set or manifest.visibility_lag_seconds <= 0
    return Capability.READ_ORDERS in manifest.capabilities and not is_guarded


def end_waits(context: FlowContext) -> int:
    """Let go what waited long enough; answers how many listings that were."""
    account, now = context.account.name, context.clock.now()
    with context.open_work() as work:
        rise_at = work.listings.next_rise_at(account)
        retry_at = work.listings.next_retry_at(account)
    done = 0
    if rise_at is not None:
        until = explained_until(context) if delays_growths(context) else now
        if until is not None and rise_at <= until:
            done += _end_rises(context, until)
    if retry_at is not None and retry_at <= now:
        done += _end_rests(context, now)
    return done


def _end_rises(context: FlowContext, until: datetime) -> int:
    done = 0
    for _ in range(ROUNDS_MAX):
        with context.open_work() as work:
            rising = work.listings.lock_rising(context.account.name, until=until, limit=WAITING_MAX)
            if rising:
                work.listings.save([explain_rises(one, until=until) for one in rising])
                work.commit()
        done += len(rising)
        if len(rising) < WAITING_MAX:
            break
    return done


def _end_rests(context: FlowContext, now: datetime) -> int:
    with context.open_work() as work:
        rested = work.listings.lock_retried(context.account.name, until=now, limit=WAITING_MAX)
        if rested:
            work.listings.save([unrefused(one) for one in rested])
            work.commit()
    return len(rested)


def next_at(context: FlowContext) -> datetime | None:
    """When something that waits may go; None too where the end of the next pass will wake us."""
    account = context.account.name
    with context.open_work() as work:
        rise_at = work.listings.next_rise_at(account)
        retry_at = work.listings.next_retry_at(account)
    until = None if rise_at is None else read_until(context)
    if rise_at is not None and until is not None and rise_at <= until:
        soon = context.clock.now() + timedelta(seconds=BOOKED_WAIT_SECONDS)
        return soon if retry_at is None else min(soon, retry_at)
    return retry_at
