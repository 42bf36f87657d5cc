"""Shipments: units leave the building, their reservations are consumed, the channel is told later.

Decides on copies in memory and stores once, so that a refused shipment leaves nothing behind.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from oms_sync.domain.errors import RuleBroken, ShipmentRefused
from oms_sync.domain.events import Event
from oms_sync.domain.order import LineCounts, OrderState, moves_stock, order_state
from oms_sync.domain.reservation import Draft, LevelKey, consume, find
from oms_sync.domain.shipment import Package, PushState, Shipment, ShipmentLine, check_shippable
from oms_sync.domain.stock import StockLevel
from oms_sync.flows.commands.context import CommandContext, CommandRefused, announce
from oms_sync.flows.manual import MANUAL
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import AccountProfile, ShipmentPush, StoredLine, StoredOrder, counts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """What is to be shipped of one order."""

    packages: tuple[Package, ...]
    #: SKU, channel SKU or line id to units; empty means everything still open
    lines: Mapping[str, int] = field(default_factory=dict)
    service: str | None = None
    #: None means now
    shipped_at: datetime | None = None
    #: short units were found on the shelf: record that, too
    is_found: bool = False
    #: None takes a fresh one
    shipment_id: str | None = None


def ship(context: CommandContext, order_id: str, dispatch: Dispatch) -> Shipment:
    """Ship an order or a part of it; raises ShipmentRefused saying what stands against it."""
    with context.open_work() as work:
        order = work.orders.lock([order_id]).get(order_id)
        if order is None:
            raise CommandRefused(f"there is no order {order_id}")
        bench = PackingBench(context, work, [order])
        shipment = bench.pack(order_id, dispatch)
        bench.store()
        work.commit()
    return shipment


class PackingBench:
    """Shipments of locked orders, drafted one after the other, stored together."""

    def __init__(
        self, context: CommandContext, work: UnitOfWork, orders: Iterable[StoredOrder]
    ) -> None:
        self._context = context
        self._work = work
        self._now = context.clock.now()
        locked = {order.order_id: order for order in orders}
        skus = {line.sku for order in locked.values() for line in order.lines if line.sku}
        self._levels: dict[LevelKey, StockLevel] = work.stock.lock(sorted(skus))
        # What lines hold changes under the level locks alone: read it again now that we have them.
        self._orders = work.orders.load(sorted(locked))
        self._drafts: list[Draft] = []
        self._shipments: list[Shipment] = []
        self._events: list[Event] = []

    def pack(self, order_id: str, dispatch: Dispatch) -> Shipment:
        """Draft one shipment; raises ShipmentRefused and leaves the bench as it was."""
        order = self._orders[order_id]
        counts = counts_of(order)
        wanted = _wanted(order, counts, dispatch.lines)
        if order.known.facts.fulfilled_by == "channel":
            raise ShipmentRefused("the channel ships this order itself")
        state = order_state(order.known, counts, has_holds=bool(order.holds))
        if state is OrderState.HELD:
            raise ShipmentRefused(f"the order is held: {', '.join(h.code for h in order.holds)}")
        check_shippable(state, wanted, _open_units(order, counts))
        shipment = self._shipment(order, wanted, dispatch)
        draft = Draft(self._levels, at=self._now, actor=self._context.actor)
        profile = self._context.profile(order.known.ref.account)
        lines = tuple(
            _take(draft, order, index, _Take(
                units=wanted.get(line.line_id, 0), count=counts[index], profile=profile,
                source=f"shipment:{shipment.shipment_id}", is_found=dispatch.is_found,
            ))
            for index, line in enumerate(order.lines)
        )  # fmt: skip
        self._keep(replace(order, lines=lines), draft, shipment)
        return shipment

    def store(self) -> None:
        """Store every drafted shipment; wakes who has to look at what changed."""
        work = self._work
        changed: set[LevelKey] = set()
        for draft in self._drafts:
            changed |= {(movement.sku, movement.location) for movement in draft.movements}
        movements = [movement for draft in self._drafts for movement in draft.movements]
        work.stock.append(movements, {key: self._levels[key] for key in sorted(changed)})
        touched = sorted({shipment.order_id for shipment in self._shipments})
        work.orders.save_reservations([self._orders[order_id] for order_id in touched])
        for shipment in self._shipments:
            work.shipments.add(shipment, at=self._now)
        work.shipments.save([self._told(one) for one in self._shipments if self._is_manual(one)])
        work.timeline.add(self._events)
        announce(self._context, work, (sku for sku, _ in changed))
        for account in sorted({shipment.account for shipment in self._shipments}):
            work.wake("push_tracking", account)
            work.wake("reserve", account)

    def _keep(self, order: StoredOrder, draft: Draft, shipment: Shipment) -> None:
        after = counts_of(order)
        state = order_state(order.known, after, has_holds=bool(order.holds))
        self._orders[order.order_id] = replace(order, state=state, is_reserve_due=True)
        self._levels = dict(draft.levels)
        self._drafts.append(draft)
        self._shipments.append(shipment)
        found = sum(
            movement.on_hand_delta for movement in draft.movements if movement.on_hand_delta > 0
        )
        first = shipment.packages[0]
        self._events.append(
            Event(
                name="order.shipped",
                at=self._now,
                actor=self._context.actor,
                order_id=order.order_id,
                account=shipment.account,
                detail={
                    "shipment_id": shipment.shipment_id,
                    "units": sum(line.quantity for line in shipment.lines),
                    "packages": len(shipment.packages),
                    "carrier": first.carrier,
                    "tracking_number": first.tracking_number,
                    "found": found or None,
                },
            )
        )

    def _shipment(
        self, order: StoredOrder, wanted: Mapping[str, int], dispatch: Dispatch
    ) -> Shipment:
        if not dispatch.packages:
            raise ShipmentRefused("a shipment needs at least one package")
        shipped_at = dispatch.shipped_at or self._now
        if shipped_at > self._now:
            raise ShipmentRefused(f"shipped_at {shipped_at.isoformat()} is in the future")
        return Shipment(
            shipment_id=dispatch.shipment_id or self._context.ids.new(),
            order_id=order.order_id,
            account=order.known.ref.account,
            channel_order_id=order.known.ref.channel_order_id,
            lines=tuple(
                ShipmentLine(
                    line_id=line.line_id,
                    channel_line_id=line.channel_line_id,
                    quantity=wanted[line.line_id],
                )
                for line in order.lines
                if line.line_id in wanted
            ),
            packages=dispatch.packages,
            service=dispatch.service,
            shipped_at=shipped_at,
        )

    def _is_manual(self, shipment: Shipment) -> bool:
        return self._context.profile(shipment.account).connector == MANUAL

    def _told(self, shipment: Shipment) -> ShipmentPush:
        """Nobody outside waits for this shipment: there is nobody to tell."""
        return ShipmentPush(
            shipment=shipment,
            state=PushState.CONFIRMED,
            next_at=self._now,
            confirmed_at=self._now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Take:
    """Units of one line that leave, and on whose account."""

    units: int
    count: LineCounts
    profile: AccountProfile
    source: str
    is_found: bool


def _take(draft: Draft, order: StoredOrder, index: int, take: _Take) -> StoredLine:
    """The line after `take.units` left: out of its reservations, then free ones, then found."""
    line = order.lines[index]
    if not take.units:
        return line
    held = dict(line.held)
    is_stocked = moves_stock(order.known, order.known.lines[index])
    if is_stocked:
        left = _consume_held(draft, line, held, take)
        left = _consume_free(draft, line, left, take)
        if left:
            _consume_found(draft, line, left, take)
    still_open = take.count.open - take.units if is_stocked else 0
    return replace(
        line,
        held={place: units for place, units in held.items() if units},
        # What the channel saw shipped before and this shipment are different units.
        shipped_here=take.count.shipped + take.units,
        shipped_booked=line.shipped_booked + take.units,
        quantity_short=max(0, still_open - sum(held.values())),
    )


def _consume_held(draft: Draft, line: StoredLine, held: dict[str, int], take: _Take) -> int:
    left = take.units
    best_first = [place for place in take.profile.locations if place in held]
    for place in [*best_first, *sorted(held.keys() - set(best_first))]:
        units = min(left, held[place])
        if units and line.sku:
            consume(draft, (line.sku, place), units, source=take.source, reserved=units)
            held[place] -= units
            left -= units
    return left


def _consume_free(draft: Draft, line: StoredLine, left: int, take: _Take) -> int:
    """Units on the shelf nobody reserved yet, where the books know them."""
    for place in take.profile.locations:
        if line.sku is None:
            break
        units = min(left, max(0, draft.free((line.sku, place))))
        if units:
            consume(draft, (line.sku, place), units, source=take.source, reserved=0)
            left -= units
    return left


def _consume_found(draft: Draft, line: StoredLine, left: int, take: _Take) -> None:
    name = line.sku or line.line_id
    if not take.is_found:
        raise ShipmentRefused(
            f"{name}: {left} of {take.units} units are short, no stock covers them; count them, "
            "or say --found if they were found on the shelf"
        )
    if line.sku is None:
        raise ShipmentRefused(f"line {name} has no SKU; link its listing first")
    places = [p for p in take.profile.locations if _is_counted(draft, (line.sku, p))]
    if not places:
        # What was never counted is not in the books, so nothing leaves them.
        return
    try:
        find(draft, (line.sku, places[0]), left, source=take.source)
        consume(draft, (line.sku, places[0]), left, source=take.source, reserved=0)
    except RuleBroken as error:
        raise ShipmentRefused(str(error)) from error


def _is_counted(draft: Draft, key: LevelKey) -> bool:
    return key in draft.levels and draft.levels[key].is_counted


def _open_units(order: StoredOrder, counts: Sequence[LineCounts]) -> dict[str, int]:
    return {line.line_id: count.open for line, count in zip(order.lines, counts, strict=True)}


def _wanted(
    order: StoredOrder, counts: Sequence[LineCounts], lines: Mapping[str, int]
) -> dict[str, int]:
    """Units per line id: what was asked for, else everything open that lies on a shelf."""
    open_units = _open_units(order, counts)
    stocked = {
        line.line_id
        for line, known in zip(order.lines, order.known.lines, strict=True)
        if known.line.is_stocked is not False
    }
    if not lines:
        return {i: units for i, units in open_units.items() if units and i in stocked}
    wanted: dict[str, int] = {}
    for name, units in lines.items():
        for line_id, part in _spread(order, name, units, open_units).items():
            wanted[line_id] = wanted.get(line_id, 0) + part
    return wanted


def _spread(
    order: StoredOrder, name: str, units: int, open_units: Mapping[str, int]
) -> dict[str, int]:
    """`units` of the lines called `name`, in the order's own sequence."""
    if units <= 0:
        raise ShipmentRefused(f"{name}: a shipment needs at least one unit of each of its lines")
    named = [
        line.line_id
        for line, known in zip(order.lines, order.known.lines, strict=True)
        if name in (line.sku, line.line_id, line.channel_line_id, known.line.channel_sku)
    ]
    if not named:
        known_skus = ", ".join(sorted({line.sku or line.channel_line_id for line in order.lines}))
        raise ShipmentRefused(f"the order has no line {name!r}; its lines: {known_skus}")
    parts: dict[str, int] = {}
    left = units
    for line_id in named:
        parts[line_id] = min(left, open_units[line_id])
        left -= parts[line_id]
    if left:
        raise ShipmentRefused(f"{name} has {units - left} open units, not {units}")
    return {line_id: part for line_id, part in parts.items() if part}
