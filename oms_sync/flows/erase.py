"""Old personal data and raw messages → nothing. What the books need of an order stays.

It reads the database alone and speaks to no channel. Orders lose their people and their messages
when they have been finished long enough, or when the buyer asked; messages lose their bytes by age;
a person's key goes with the last order. Dead letters wait for somebody to look at them.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import structlog

from oms_sync.flows.erasures import erased_events
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork

log = structlog.get_logger(__name__)

ORDERS_MAX = 200
MESSAGES_MAX = 1_000
KEYS_MAX = 500
BATCHES_MAX = 20


def run(context: FlowContext) -> FlowReport:
    """Erase what is due in the account; `manual` does it for accounts nobody runs any more, too."""
    done, is_more = 0, False
    for account in _accounts(context):
        counts, is_left = _erase_account(context, account)
        done += counts.total()
        is_more = is_more or is_left
        if counts.total():
            context.metrics.count("orders_erased", counts["orders"], account=account)
            context.metrics.count("messages_erased", counts["messages"], account=account)
            log.info("orders.erased", account=account, **counts)
    if done or context.account.name == MANUAL:
        with context.open_work() as work:
            work.erasures.scrub()
            work.commit()
    return FlowReport(done=done, is_more=is_more)


def _accounts(context: FlowContext) -> list[str]:
    """An account switched off or no longer configured has no runs of its own."""
    own = context.account.name
    if own != MANUAL:
        return [own]
    with context.open_work() as work:
        return [own, *(one for one in work.erasures.accounts() if one != own)]


def _erase_account(context: FlowContext, account: str) -> tuple[Counter[str], bool]:
    """What was destroyed, by what it is, and whether there is more."""
    counts: Counter[str] = Counter(orders=0, messages=0, subjects=0)
    is_more = False
    for step, most in ((_orders, ORDERS_MAX), (_messages, MESSAGES_MAX), (_keys, KEYS_MAX)):
        is_more |= _repeat(context, account, step, counts, most)
    return counts, is_more


Step = Callable[[FlowContext, UnitOfWork, str, Counter[str]], int]


def _repeat(
    context: FlowContext, account: str, step: Step, counts: Counter[str], most: int
) -> bool:
    """Take the step in transactions of its own until little is left; True when much is."""
    for _ in range(BATCHES_MAX):
        if context.is_stopping():
            return False
        with context.open_work() as work:
            found = step(context, work, account, counts)
            if found:
                work.commit()
        if found < most:
            return False
    return True


def _orders(context: FlowContext, work: UnitOfWork, account: str, counts: Counter[str]) -> int:
    now = context.clock.now()
    before = now - timedelta(days=context.account.personal_data_days)
    due = work.erasures.lock_due(account, before=before, limit=ORDERS_MAX)
    if not due:
        return 0
    counts["orders"] += len(due)
    counts["messages"] += work.erasures.erase(sorted(due), at=now)
    reasons = {order_id: cause.value for order_id, cause in due.items()}
    work.timeline.add(erased_events(reasons, account=account, at=now, actor="hub"))
    return len(due)


def _messages(context: FlowContext, work: UnitOfWork, account: str, counts: Counter[str]) -> int:
    now, kept = context.clock.now(), context.account
    found = work.erasures.expire_messages(
        account, before=now - timedelta(days=kept.raw_payload_days), limit=MESSAGES_MAX
    )
    late = work.erasures.drop_late(
        account, before=now - timedelta(days=kept.personal_data_days), limit=MESSAGES_MAX
    )
    counts["messages"] += found + late
    return max(found, late)


def _keys(context: FlowContext, work: UnitOfWork, account: str, counts: Counter[str]) -> int:
    found = work.erasures.drop_keys(account, KEYS_MAX)
    counts["subjects"] += found
    return found
