"""Shipment → channel: look, send, read back, confirmed. Kept until resolved, never made twice.

The channel has no idempotency for shipments, so every attempt begins with a look at what the
channel already knows of the order.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from oms_sync.domain.events import Event
from oms_sync.domain.shipment import Found, PushState, Shipment, find_shipment
from oms_sync.flows.half_read import pass_waits_until
from oms_sync.flows.ports import FlowContext, FlowReport
from oms_sync.flows.records import ShipmentPush
from oms_sync.sdk import (
    Bug,
    Capability,
    FixAccount,
    FixData,
    OutcomeUnknown,
    OutgoingPackage,
    OutgoingShipment,
    Rejected,
    RetryLater,
)

log = structlog.get_logger(__name__)

BATCH_MAX = 50
REFUSALS_MAX = 3
WAIT_SECONDS = 1.0
WAIT_SECONDS_MAX = 1800.0


def run(context: FlowContext) -> FlowReport:
    """Tell the channel about every shipment that is due."""
    account = context.account
    if account.mode != "live" or Capability.PUSH_TRACKING not in context.manifest.capabilities:
        return FlowReport()
    waits_until = pass_waits_until(context, "push_tracking")
    if waits_until is not None:
        return FlowReport(next_at=waits_until)
    pushes = _claim(context)
    for index, push in enumerate(pushes):
        if context.is_stopping():
            _hand_back(context, pushes[index:])
            break
        try:
            _push(context, push)
        except (RetryLater, FixAccount):
            # The account is in trouble, not this shipment: give the rest back and let it be known.
            _hand_back(context, pushes[index:])
            raise
        except (FixData, Bug) as error:
            # This shipment is in trouble, not the account: it waits for its next turn.
            log.warning(
                "shipment.push_failed",
                account=account.name,
                order=push.shipment.order_id,
                shipment=push.shipment.shipment_id,
                reason=str(error),
            )
            _retry(context, push, str(error))
    return FlowReport(done=len(pushes), is_more=len(pushes) == BATCH_MAX, next_at=_next_at(context))


def _claim(context: FlowContext) -> list[ShipmentPush]:
    """Take the due pushes; should we never come back, they are due again after a while."""
    now = context.clock.now()
    with context.open_work() as work:
        due = work.shipments.lock_due(context.account.name, at=now, limit=BATCH_MAX)
        claimed = [
            replace(
                push,
                state=PushState.SENT,
                attempts=push.attempts + 1,
                next_at=now + timedelta(seconds=_wait(push.attempts + 1)),
            )
            for push in due
        ]
        if claimed:
            work.shipments.save(claimed)
            work.commit()
    return claimed


def _hand_back(context: FlowContext, pushes: list[ShipmentPush]) -> None:
    """Make the pushes due again; a try that never was a try does not count."""
    now = context.clock.now()
    with context.open_work() as work:
        work.shipments.save(
            [replace(push, attempts=push.attempts - 1, next_at=now) for push in pushes]
        )
        work.commit()


def _push(context: FlowContext, push: ShipmentPush) -> None:
    """One shipment: look, send what is missing, read back."""
    shipment = push.shipment
    started = context.clock.monotonic()
    found = _look(context, shipment)
    if found.missing:
        try:
            context.session.push_shipment(_outgoing(shipment, found))
        except OutcomeUnknown as error:
            _retry(context, push, str(error))
            return
        except Rejected as error:
            _refused(context, push, error)
            return
        found = _look(context, shipment)
    if found.missing:
        _retry(context, push, "the channel does not show the shipment yet")
        return
    _confirm(context, push, found)
    context.metrics.observe(
        "push_seconds",
        context.clock.monotonic() - started,
        account=context.account.name,
        flow="push_tracking",
    )


def _look(context: FlowContext, shipment: Shipment) -> Found:
    known = context.session.read_shipments(shipment.channel_order_id)
    with context.open_work() as work:
        claimed: Collection[str] = work.shipments.claimed([shipment.order_id]).get(
            shipment.order_id, set()
        )
    return find_shipment(shipment, known, claimed)


def _outgoing(shipment: Shipment, found: Found) -> OutgoingShipment:
    return OutgoingShipment(
        key=shipment.shipment_id,
        channel_order_id=shipment.channel_order_id,
        lines=found.missing,
        packages=tuple(
            OutgoingPackage(
                carrier=package.carrier,
                tracking_number=package.tracking_number,
                tracking_url=package.tracking_url,
            )
            for package in shipment.packages
        ),
        service=shipment.service,
        shipped_at=shipment.shipped_at,
    )


def _confirm(context: FlowContext, push: ShipmentPush, found: Found) -> None:
    now, shipment = context.clock.now(), push.shipment
    with context.open_work() as work:
        confirmed = replace(
            push,
            state=PushState.CONFIRMED,
            confirmed_at=now,
            channel_shipment_ids=tuple(part.channel_shipment_id for part in found.parts),
            error="",
        )
        work.shipments.save([confirmed])
        work.timeline.add([_event(context, "shipment.confirmed", shipment, "")])
        work.commit()
    log.info(
        "shipment.confirmed",
        account=context.account.name,
        order=shipment.order_id,
        shipment=shipment.shipment_id,
    )


def _retry(context: FlowContext, push: ShipmentPush, reason: str) -> None:
    _save(context, replace(push, error=reason))


def _refused(context: FlowContext, push: ShipmentPush, error: Rejected) -> None:
    """Refusals can be passing (the order was re-routed): believe them after a few tries."""
    if push.attempts < REFUSALS_MAX:
        _retry(context, push, str(error))
        return
    _save(context, replace(push, state=PushState.REFUSED, error=str(error)), "shipment.refused")
    log.error(
        "shipment.refused",
        account=context.account.name,
        order=push.shipment.order_id,
        shipment=push.shipment.shipment_id,
        reason=str(error),
    )


def _save(context: FlowContext, push: ShipmentPush, event: str = "") -> None:
    with context.open_work() as work:
        work.shipments.save([push])
        if event:
            work.timeline.add([_event(context, event, push.shipment, push.error)])
        work.commit()


def _event(context: FlowContext, name: str, shipment: Shipment, reason: str) -> Event:
    return Event(
        name=name,
        at=context.clock.now(),
        actor="hub",
        order_id=shipment.order_id,
        account=context.account.name,
        detail={"shipment": shipment.shipment_id, "reason": reason},
    )


def _wait(attempts: int) -> float:
    return min(WAIT_SECONDS * 2.0 ** min(attempts, 12), WAIT_SECONDS_MAX)


def _next_at(context: FlowContext) -> datetime | None:
    with context.open_work() as work:
        return work.shipments.next_at(context.account.name)
