"""Writes that wait while a pass of orders is between two of its pages.

Where a channel moves an order it was told of, what is written now would shift the pages to come.
"""

from datetime import datetime, timedelta
from typing import Final

from oms_sync.flows.ports import FlowContext
from oms_sync.sdk import OrderFeed

#: how soon to look again whether the pass came to its end
PASS_WAIT_SECONDS: Final = 5.0
#: a pass that takes longer holds nobody up any more
PASS_SECONDS_MAX: Final = 600.0


def pass_waits_until(context: FlowContext, flow: str) -> datetime | None:
    """When `flow` is to look again, while a pass it excludes is half read; None when it may run.

    A pass that stopped half-way still counts. One that does not come to its end holds nobody up
    for good.
    """
    if {"ingest", flow} not in map(set, context.manifest.exclusive_flows):
        return None
    now = context.clock.now()
    with context.open_work() as work:
        position = work.feeds.get(context.account.name, OrderFeed.CHANGES)
    if position is None or position.pass_started_at is None:
        return None
    given_up_at = position.pass_started_at + timedelta(seconds=PASS_SECONDS_MAX)
    if now >= given_up_at:
        return None
    return min(now + timedelta(seconds=PASS_WAIT_SECONDS), given_up_at)
