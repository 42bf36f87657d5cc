"""A batch of orders is stored: new ones, changed ones, and what moved between them.

The second half of `regroup.py`; of accounts whose orders keep their ids and lines nothing moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from oms_sync.domain.events import Event
from oms_sync.domain.shipment import Shipment
from oms_sync.flows.ports import FlowContext, UnitOfWork
from oms_sync.flows.records import Batch, StoredOrder

log = structlog.get_logger(__name__)


def write(
    context: FlowContext, work: UnitOfWork, batch: Batch, changed: Sequence[StoredOrder]
) -> None:
    """Store the changed orders of the batch; ids change hands before anybody takes a free one."""
    account = context.account.name
    work.orders.rename(batch.renamed, batch.merged)
    work.write_backs.readdress(batch.merged)
    fresh = [order for order in changed if order.order_id not in batch.stored]
    work.orders.add([_without(order, batch.moved) for order in fresh] if batch.moved else fresh)
    work.orders.move_lines(batch.moved)
    work.orders.save(
        [
            order
            for order in changed
            if order.order_id in batch.stored or order.order_id in batch.moved.values()
        ]
    )
    work.orders.save_names(account, fresh=batch.fresh_names, moved=batch.moved_names)
    _readdress(work, batch)
    if batch.parted:
        # What of such an order the channel still has, only the channel can say.
        work.rereads.arm(account, batch.parted, at=context.clock.now())
        work.wake("ingest", account)
    work.timeline.add(_events(context, batch))


def _without(order: StoredOrder, moved: Mapping[str, str]) -> StoredOrder:
    """A new order without the lines that are stored already."""
    pairs = [
        (known, line)
        for known, line in zip(order.known.lines, order.lines, strict=True)
        if line.line_id not in moved
    ]
    return replace(
        order,
        known=replace(order.known, lines=tuple(known for known, _ in pairs)),
        lines=tuple(line for _, line in pairs),
    )


def _readdress(work: UnitOfWork, batch: Batch) -> None:
    """A shipment goes with its lines, and its push under the id the channel knows now."""
    given = {
        order.order_id
        for order in batch.stored.values()
        if any(line.line_id in batch.moved for line in order.lines)
    }
    touched = sorted(given | {order.order_id for order in batch.renamed})
    if not touched:
        return
    homes = {line.line_id: order for order in batch.orders for line in order.lines}
    shipments = [
        (shipment, _readdressed(shipment, homes)) for shipment in work.shipments.of_orders(touched)
    ]
    work.shipments.readdress([after for before, after in shipments if after != before])


def _readdressed(shipment: Shipment, homes: Mapping[str, StoredOrder]) -> Shipment:
    order = homes[shipment.lines[0].line_id]
    return replace(
        shipment,
        order_id=order.order_id,
        channel_order_id=order.known.ref.channel_order_id,
    )


def _events(context: FlowContext, batch: Batch) -> list[Event]:
    """What the timelines of these orders say of it; the log names orders, not lines."""
    account = context.account.name
    told: list[tuple[str, str, Mapping[str, str | int | None]]] = []
    for order in batch.renamed:
        name = order.known.ref.channel_order_id
        before = batch.stored[order.order_id].known.ref.channel_order_id
        told.append(("order.renamed", order.order_id, {"channel_order_id": name, "before": before}))
        log.info("order.renamed", account=account, order=order.order_id, channel_order_id=name)
    for order_id, into in batch.merged.items():
        name = batch.stored[order_id].known.ref.channel_order_id
        told.append(("order.merged", order_id, {"channel_order_id": name, "into": into}))
        told.append(("order.merged", into, {"channel_order_id": name, "of": order_id}))
        log.info("order.merged", account=account, order=order_id, into=into)
    for order in batch.stored.values():
        into_of = [batch.moved[one.line_id] for one in order.lines if one.line_id in batch.moved]
        for into in sorted(set(into_of)) if order.order_id not in batch.merged else ():
            count = into_of.count(into)
            told.append(("order.lines_moved", order.order_id, {"into": into, "lines": count}))
    now = context.clock.now()
    return [
        Event(name=name, at=now, actor=account, order_id=order_id, account=account, detail=detail)
        for name, order_id, detail in told
    ]
