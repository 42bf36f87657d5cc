"""Canonical order → reservation: brings every line as near to its wanted units as stock allows.

One transaction per small batch: lock orders, lock levels in SKU order, one pure decision, write.
Never talks to a channel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from oms_sync.domain.events import Event
from oms_sync.domain.order import LineCounts, line_counts, moves_stock, order_state, wanted
from oms_sync.domain.reservation import (
    LevelKey,
    LineNeed,
    LineOutcome,
    ReservationPlan,
    plan_reservations,
)
from oms_sync.domain.stock import MovementKind, StockLevel
from oms_sync.domain.values import Sku
from oms_sync.flows.ports import FlowContext, FlowReport, UnitOfWork
from oms_sync.flows.records import StoredLine, StoredOrder

log = structlog.get_logger(__name__)

BATCH_MAX = 100
BATCHES_MAX = 50
#: orders of any account whose shortage one batch tries to fill
FILL_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line under reservation, with where its units are."""

    order: StoredOrder
    line: StoredLine
    counts: LineCounts
    wanted: int
    is_moving: bool


def run(context: FlowContext) -> FlowReport:
    """Reserve for every order due, and fill shortages where supply grew."""
    done, is_more = 0, False
    for _ in range(BATCHES_MAX):
        count, is_more = _reserve_batch(context)
        done += count
        if not is_more or context.is_stopping():
            break
    return FlowReport(done=done, is_more=is_more)


def _reserve_batch(context: FlowContext) -> tuple[int, bool]:
    """One transaction; answers (orders or SKUs looked at, is there more to do at once)."""
    with context.open_work() as work:
        due = work.orders.lock_reserve_due(context.account.name, BATCH_MAX)
        grown = work.stock.lock_fill_due(BATCH_MAX)
        if not due and not grown:
            return 0, False
        skus = set(grown).union(*due.values())
        levels = work.stock.lock(sorted(skus))
        # Until now another account's run may have filled these lines: orders are read under the
        # locks of their stock levels.
        waiting = work.orders.short_order_ids(sorted(skus), FILL_MAX)
        fresh = work.orders.load(list(dict.fromkeys([*due, *waiting])))
        locked = {order_id: fresh[order_id] for order_id in due}
        others = {key: order for key, order in fresh.items() if key not in locked}
        lines = [line for order in locked.values() for line in _lines(order)]
        lines += [
            line
            for order in others.values()
            for line in _lines(order)
            if line.line.sku in skus and line.line.quantity_short > 0
        ]
        plan = _apply(context, work, lines, levels, (locked, others))
        left = _left(plan) if len(waiting) == FILL_MAX else []
        work.stock.mark_fill_due(left)
        # Whoever found these SKUs undecided let them be, whether or not anything moved now.
        for account in sorted(work.listings.accounts_waiting(skus)):
            work.wake("push_stock", account)
        work.commit()
    count = max(len(due), len(grown))
    return count, count == BATCH_MAX or bool(left)


def _left(plan: ReservationPlan) -> list[Sku]:
    """SKUs that filled orders and still have units free: younger orders may be short of them."""
    filled = {one.sku for one in plan.movements if one.kind is MovementKind.RESERVE}
    return sorted({sku for (sku, _), level in plan.levels.items() if level.free > 0} & filled)


def _lines(order: StoredOrder) -> list[_Line]:
    lines = []
    for known, line in zip(order.known.lines, order.lines, strict=True):
        counts = line_counts(order.known, known, line.shipped_here)
        lines.append(
            _Line(
                order=order,
                line=line,
                counts=counts,
                wanted=wanted(order.known, known, counts),
                is_moving=moves_stock(order.known, known),
            )
        )
    return lines


def _apply(
    context: FlowContext,
    work: UnitOfWork,
    lines: list[_Line],
    levels: Mapping[LevelKey, StockLevel],
    orders: tuple[Mapping[str, StoredOrder], Mapping[str, StoredOrder]],
) -> ReservationPlan:
    locked, others = orders
    needs = [need for line in lines if (need := _need(context, line)) is not None]
    plan = plan_reservations(needs, levels, at=context.clock.now())
    work.stock.append(plan.movements, plan.levels)
    outcomes: dict[str, LineOutcome | None] = {line.line.line_id: None for line in lines}
    outcomes |= {outcome.line_id: outcome for outcome in plan.outcomes}
    reserved = [_after(order, outcomes) for order in locked.values()]
    filled = [_after(order, outcomes) for order in others.values()]
    work.orders.save_reservations(reserved)
    work.orders.save_filled(filled)
    work.listings.mark_stale(sorted({movement.sku for movement in plan.movements}))
    before = {**locked, **others}
    work.timeline.add(
        [
            event
            for order in (*reserved, *filled)
            for event in _events(context, before[order.order_id], order)
        ]
    )
    return plan


def _need(context: FlowContext, line: _Line) -> LineNeed | None:
    """What reservation needs to know of the line; None when no stock of ours is behind it."""
    profile = context.profiles.get(line.order.known.ref.account)
    held = line.line.held
    if line.line.sku is None or profile is None or not (line.is_moving or any(held.values())):
        return None
    return LineNeed(
        line_id=line.line.line_id,
        source=f"order:{line.order.order_id}",
        placed_at=line.order.placed_at,
        sku=line.line.sku,
        locations=profile.locations,
        wanted=line.wanted,
        held=held,
        to_ship=line.counts.shipped - line.line.shipped_booked if line.is_moving else 0,
        to_return=(
            max(0, line.counts.returned - line.line.returned_booked) if line.is_moving else 0
        ),
    )


def _after(order: StoredOrder, outcomes: Mapping[str, LineOutcome | None]) -> StoredOrder:
    """The order with its lines' new reservations booked, and no longer due.

    `outcomes` names every line that was looked at; the others stay as they are.
    """
    lines, counts = [], []
    for line in _lines(order):
        stored = line.line
        outcome = outcomes.get(stored.line_id)
        counts.append(line.counts)
        if outcome is None:
            # A line without a SKU, or with nothing of ours behind it, holds and lacks nothing.
            is_looked_at = stored.line_id in outcomes
            lines.append(replace(stored, quantity_short=0) if is_looked_at else stored)
            continue
        lines.append(
            replace(
                stored,
                held=dict(outcome.held),
                quantity_short=outcome.short,
                shipped_booked=line.counts.shipped if line.is_moving else stored.shipped_booked,
                returned_booked=(
                    max(stored.returned_booked, line.counts.returned)
                    if line.is_moving
                    else stored.returned_booked
                ),
            )
        )
    state = order_state(order.known, tuple(counts), has_holds=bool(order.holds))
    return replace(order, lines=tuple(lines), state=state, is_reserve_due=False)


def _events(context: FlowContext, before: StoredOrder, after: StoredOrder) -> list[Event]:
    held = [sum(sum(line.held.values()) for line in order.lines) for order in (before, after)]
    short = [sum(line.quantity_short for line in order.lines) for order in (before, after)]
    if held[0] == held[1] and short[0] == short[1]:
        return []
    account = after.known.ref.account
    if short[1] > short[0]:
        log.warning("stock.ran_short", account=account, order=after.order_id, units=short[1])
    return [
        Event(
            name="order.reserved",
            at=context.clock.now(),
            actor="hub",
            order_id=after.order_id,
            account=account,
            detail={"reserved": held[1], "short": short[1]},
        )
    ]
