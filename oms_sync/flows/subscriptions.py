"""Subscriptions seen fine, made anew, and what is read again after one was lost.

Before the channel is asked it is noted that the answer is owed: whoever dies between the channel's
answer and our note reads the time since again, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from oms_sync.domain.events import Event
from oms_sync.flows.ports import OpenWork, UnitOfWork
from oms_sync.flows.upkeep import Subscription
from oms_sync.sdk import Clock, Metrics, OrderFeed

log = structlog.get_logger(__name__)

WEBHOOKS: Final = "webhooks"
QUEUE: Final = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribing:
    """One way a channel tells of changes, and how to make it do so."""

    account: str
    #: WEBHOOKS or QUEUE
    kind: str
    #: the address, empty for a queue
    target: str
    #: makes every missing topic; answers those
    ask: Callable[[], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of it."""

    topics: tuple[str, ...]
    #: some topics were lost since then; None where none was
    lost_since: datetime | None


def ensure(
    subscribing: Subscribing, *, open_work: OpenWork, clock: Clock, metrics: Metrics
) -> Seen:
    """Have every topic subscribed; a subscription that was lost is told and read again from there.

    Raises whatever the channel's refusal is; the next look reads again then.
    """
    before = _begin(subscribing, open_work)
    topics = subscribing.ask()
    now = clock.now()
    is_known = before.seen_at is not None and before.target == subscribing.target
    lost_since = before.seen_at if topics and is_known else None
    fine = replace(before, target=subscribing.target, seen_at=now, is_unsure=False)
    with open_work() as work:
        work.upkeep.put_subscription(fine)
        if lost_since is not None:
            work.timeline.add([_lost(subscribing, lost_since, now)])
        if lost_since is not None or before.is_unsure:
            _read_again(work, subscribing.account, now)
        work.commit()
    _tell(subscribing, topics, lost_since)
    if lost_since is not None:
        metrics.count("subscriptions_lost", account=subscribing.account)
    return Seen(topics=topics, lost_since=lost_since)


def _begin(subscribing: Subscribing, open_work: OpenWork) -> Subscription:
    """The subscription as it was seen last, with the note that the channel is being asked."""
    account, kind = subscribing.account, subscribing.kind
    with open_work() as work:
        known = work.upkeep.subscription(account, kind)
        before = known or Subscription(account=account, kind=kind, target=subscribing.target)
        work.upkeep.put_subscription(replace(before, is_unsure=True))
        work.commit()
    # One never seen has missed nothing: everything was polled.
    return before if before.seen_at is not None else replace(before, is_unsure=False)


def _read_again(work: UnitOfWork, account: str, now: datetime) -> None:
    """Poll at once, and list the last days' orders again."""
    for feed, flow in ((OrderFeed.CHANGES, "ingest"), (OrderFeed.SWEEP, "reconcile")):
        work.feeds.hasten(account, feed, at=now)
        work.wake(flow, account)


def _lost(subscribing: Subscribing, since: datetime, now: datetime) -> Event:
    return Event(
        name="account.subscription_lost",
        at=now,
        actor="hub",
        account=subscribing.account,
        detail={"kind": subscribing.kind, "since": since.isoformat()},
    )


def _tell(subscribing: Subscribing, topics: tuple[str, ...], lost_since: datetime | None) -> None:
    if lost_since is not None:
        log.warning(
            "account.subscription_lost",
            account=subscribing.account,
            kind=subscribing.kind,
            topics=list(topics),
            since=lost_since,
        )
    elif topics:
        log.info(
            "account.subscribed",
            account=subscribing.account,
            kind=subscribing.kind,
            topics=list(topics),
            url=subscribing.target,
        )
