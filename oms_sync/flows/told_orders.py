"""What is told of orders that came in or changed: their timelines, the log, the metrics.

Used by `normalise`, in the transaction that stores them.
"""

import structlog

from oms_sync.domain.balance import balance
from oms_sync.domain.events import Event
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.records import Batch, StoredOrder

log = structlog.get_logger(__name__)


def tell(
    context: FlowContext,
    work: UnitOfWork,
    batch: Batch,
    orders: list[StoredOrder],
) -> None:
    """Say of each order that it is new or what changed; seen again as it was, nothing."""
    now, account = context.clock.now(), context.account.name
    events = []
    for order in orders:
        before = batch.stored.get(order.order_id)
        if before is not None and _shown(order) == _shown(before):
            continue  # the same was seen again, later
        detail: dict[str, str | int | None] = {
            "state": order.state.value,
            "holds": ", ".join(hold.code for hold in order.holds),
        }
        events.append(
            Event(
                name="order.changed" if before else "order.imported",
                at=now,
                actor=account,
                order_id=order.order_id,
                account=account,
                detail=detail,
            )
        )
        events += _unbalanced(context, before, order)
        if before is None:
            context.metrics.count("orders_in", account=account)
            _measure_lag(context, batch, order)
            log.info(
                "order.imported",
                account=account,
                order=order.order_id,
                channel_order_id=order.known.ref.channel_order_id,
                state=order.state.value,
            )
    work.timeline.add(events)


def _measure_lag(context: FlowContext, batch: Batch, order: StoredOrder) -> None:
    """How long the channel and we took to see a new order.

    Orders from before we were connected, and those made of known ones, were not late.
    """
    placed_at = order.known.facts.placed_at
    connected_at = batch.record.first_connected_at if batch.record else None
    if placed_at is None or connected_at is None or placed_at < connected_at:
        return
    if order.order_id not in batch.moved.values():
        lag = (order.imported_at - placed_at).total_seconds()
        context.metrics.observe("order_lag_seconds", max(0.0, lag), account=context.account.name)


def _unbalanced(
    context: FlowContext, before: StoredOrder | None, order: StoredOrder
) -> list[Event]:
    """Tell once that the money does not add up, and again when it does so by another amount.

    The order goes its way all the same: goods do not wait for a sum of the channel's.
    """
    found = balance(order.known)
    if found is None or not found.is_flagged or (before and balance(before.known) == found):
        return []
    account = context.account.name
    residual = f"{found.residual.text()} {found.residual.currency}" if found.residual else None
    log.warning(
        "order.unbalanced",
        account=account,
        order=order.order_id,
        residual=residual,
        reason=found.name,
    )
    context.metrics.count("orders_unbalanced", account=account)
    return [
        Event(
            name="order.unbalanced",
            at=context.clock.now(),
            actor="hub",
            order_id=order.order_id,
            account=account,
            detail={"residual": residual, "reason": found.name},
        )
    ]


def _shown(order: StoredOrder) -> tuple[object, ...]:
    """What is worth telling of an order: everything but when it was seen."""
    lines = tuple(known.line for known in order.known.lines)
    return order.known.facts, lines, order.lines, order.holds, order.state
