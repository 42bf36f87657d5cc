"""Buyers' requests to cancel → cancellations, where the account's policy is to accept them.

A request somebody said no to holds its order no longer, so it is not found here either.
"""

from typing import Final

from oms_sync.domain.cancel_requests import requested_lines
from oms_sync.domain.events import Event
from oms_sync.domain.write_back import WriteBack, WriteKind, WriteState
from oms_sync.flows.cancelling import Ask, begin, open_units
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.records import StoredOrder
from oms_sync.sdk import Capability

ACCEPTED_MAX: Final = 50
ACCEPTED_PAGES_MAX: Final = 20


def accept(context: FlowContext) -> int:
    """Turn buyers' requests into cancellations, where the policy says so."""
    manifest, account = context.manifest, context.account
    can = Capability.CANCEL_ORDERS in manifest.capabilities
    if account.cancellation_requests != "accept" or not can:
        return 0
    begun, after = 0, ""
    for _ in range(ACCEPTED_PAGES_MAX):
        with context.open_work() as work:
            ids = work.write_backs.orders_asking(account.name, ACCEPTED_MAX, after=after)
            orders = work.orders.lock(ids) if ids else {}
            granted = [_cancel_requested(context, work, order) for order in orders.values()]
            if any(granted):
                work.commit()
        begun += sum(granted)
        if len(ids) < ACCEPTED_MAX:
            break
        after = ids[-1]
    return begun


def _cancel_requested(context: FlowContext, work: UnitOfWork, order: StoredOrder) -> bool:
    asked = requested_lines(hold.code for hold in order.holds)
    tried = [
        one
        for one in work.write_backs.of_orders([order.order_id])
        if one.kind is WriteKind.CANCEL and one.state is not WriteState.CONFIRMED
    ]
    is_ours = order.known.facts.fulfilled_by != "channel"
    if asked is None or tried or not is_ours or order.merged_into is not None:
        return False
    possible = open_units(order)
    units = {line_id: one for line_id, one in possible.items() if not asked or line_id in asked}
    if not units or not (context.manifest.cancels_lines or units == possible):
        return False  # it stays held, for somebody to look at
    now = context.clock.now()
    ask = Ask(write_id=context.ids.new(), at=now, actor="hub", reason="buyer")
    held, write = begin(order, units, ask)
    work.write_backs.add(write)
    work.orders.save([held])
    work.timeline.add([_accepted(context, write)])
    return True


def _accepted(context: FlowContext, write: WriteBack) -> Event:
    return Event(
        name="order.cancellation_accepted",
        at=context.clock.now(),
        actor="hub",
        order_id=write.order_id,
        account=context.account.name,
        detail={"kind": write.kind.value, "units": sum(write.wish.lines.values())},
    )
