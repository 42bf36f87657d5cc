"""Coming back after a long absence: what the channel no longer shows is noted as lost, for good.

A feed is then read on from where the channel still shows everything. Shorter absences need
nothing: the cursor stands where we left, and every page stored moves it.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from oms_sync.domain.events import Event
from oms_sync.domain.silence import lost_stretch
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.records import FeedPosition
from oms_sync.flows.upkeep import Gap

log = structlog.get_logger(__name__)

#: what is begun this close to the horizon would leave it while it is read
MARGIN: Final = timedelta(hours=1)


def kept_within_horizon(
    context: FlowContext, work: UnitOfWork, position: FeedPosition
) -> FeedPosition:
    """The position; moved up, and the gap kept for good, where the channel shows less than that.

    The transaction is committed when something was lost: it stays known whatever follows.
    """
    now, account = context.clock.now(), context.account.name
    days = context.manifest.order_horizon_days
    lost = lost_stretch(
        position.drained_at or position.since,
        page_at=position.page_at if position.pass_started_at is not None else None,
        horizon_days=days,
        now=now,
    )
    if lost is None:
        return position
    since, until = lost
    moved = replace(
        position,
        cursor=None,
        since=until + MARGIN,
        pass_started_at=now,
        # What lies before is lost: nothing can be asked for it again.
        drained_at=until,
        next_at=None,
        orders_read=0,
        page_at=now,
    )
    work.feeds.put(moved)
    work.upkeep.add_gap(Gap(account=account, since=since, until=until, found_at=now))
    detail = {"since": since.isoformat(), "until": until.isoformat()}
    work.timeline.add(
        [Event(name="account.gap_found", at=now, actor="hub", account=account, detail=detail)]
    )
    work.commit()
    context.metrics.count("gaps", account=account)
    log.error(
        "account.gap_found",
        account=account,
        since=since,
        until=until,
        remedy="compare the channel's own export of this time with oms-sync orders list",
    )
    return moved
