"""Listens for silence: what did not happen is told once, kept, and shown until it happens.

It reads the database alone and speaks to no channel, so it tells also of accounts that stand still.
"""

from collections.abc import Collection
from datetime import datetime

import structlog

from oms_sync.domain.events import Event
from oms_sync.domain.silence import (
    OVERDUE_KINDS,
    UNANNOUNCED_ORDERS,
    Pace,
    Pulse,
    SilenceKind,
    history_left,
    overdue_count,
    silences,
)
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork
from oms_sync.flows.records import AccountProfile
from oms_sync.flows.upkeep import Alarm
from oms_sync.sdk import Capability, Manifest

log = structlog.get_logger(__name__)


def run(context: FlowContext) -> FlowReport:
    """Judge the account's silences, tell the new ones, end those that are over."""
    account, now = context.account.name, context.clock.now()
    with context.open_work() as work:
        judged = pace_and_pulse(work, context.account, context.manifest, now=now)
        found = silences(judged[1], judged[0], now=now) if judged else {}
        known = work.upkeep.alarms(account)
        alarms = [
            Alarm(
                account=account,
                kind=kind,
                since=one.since,
                raised_at=known[kind].raised_at if kind in known else now,
                reason=one.reason,
            )
            for kind, one in found.items()
        ]
        fresh = [one for one in alarms if one.kind not in known]
        # How many wait changes by the hour: what is shown follows, what was told is told once.
        grown = [
            one for one in alarms if one.kind in known and one.reason != known[one.kind].reason
        ]
        over = [kind for kind in known if kind not in found]
        if fresh or grown or over:
            work.upkeep.put_alarms([*fresh, *grown])
            work.upkeep.end_alarms(account, over)
            work.timeline.add(_events(account, fresh, over, now))
            work.commit()
    _measure(context, judged, frozenset(found))
    for alarm in fresh:
        log.warning(
            "account.fell_silent",
            account=account,
            kind=alarm.kind.value,
            since=alarm.since,
            reason=alarm.reason,
        )
    for kind in over:
        log.info("account.heard_again", account=account, kind=kind.value)
    return FlowReport(done=len(fresh) + len(over))


def _measure(
    context: FlowContext, judged: tuple[Pace, Pulse] | None, found: Collection[SilenceKind]
) -> None:
    account, metrics = context.account.name, context.metrics
    if judged is not None:
        left = history_left(judged[1], judged[0], now=context.clock.now()).total_seconds()
        metrics.gauge("history_left_seconds", left, account=account)
    for kind in SilenceKind:
        metrics.gauge("alarms", float(kind in found), account=account, kind=kind.value)
    for kind in OVERDUE_KINDS:
        count = overdue_count(judged[1], kind) if judged and kind in found else 0
        metrics.gauge("overdue", float(count), account=account, kind=kind.value)


def pace_and_pulse(
    work: UnitOfWork, account: AccountProfile, manifest: Manifest, *, now: datetime
) -> tuple[Pace, Pulse] | None:
    """What silences are judged by; None where an account is silent as it was told to be."""
    capabilities = manifest.capabilities
    record = work.accounts.get(account.name)
    pulse = work.upkeep.pulse(account.name, now=now, unannounced_max=UNANNOUNCED_ORDERS)
    if record is None or record.is_paused or pulse is None:
        return None
    pace = Pace(
        poll_seconds=account.poll_seconds,
        reconcile_seconds=account.reconcile_seconds,
        silence_hours=account.silence_hours,
        order_horizon_days=manifest.order_horizon_days,
        reads_orders=Capability.READ_ORDERS in capabilities,
        pushes_stock=Capability.PUSH_STOCK in capabilities
        and account.mode == "live"
        and record.backfilled_at is not None,
        pushes_tracking=Capability.PUSH_TRACKING in capabilities and account.mode == "live",
    )
    return pace, pulse


def _events(
    account: str, fresh: list[Alarm], over: list[SilenceKind], now: datetime
) -> list[Event]:
    told = [
        Event(
            name="account.fell_silent",
            at=now,
            actor="hub",
            account=account,
            detail={"kind": one.kind.value, "reason": one.reason},
        )
        for one in fresh
    ]
    ended = [
        Event(
            name="account.heard_again",
            at=now,
            actor="hub",
            account=account,
            detail={"kind": kind.value},
        )
        for kind in over
    ]
    return [*told, *ended]
