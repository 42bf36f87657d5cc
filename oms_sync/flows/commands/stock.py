"""Changes to stock: counts, adjustments, receipts, safety stock; each a movement with its reason.

A count below what is reserved turns the newest reservations into shortage in the same transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from oms_sync.domain.errors import DomainError
from oms_sync.domain.events import Event
from oms_sync.domain.reservation import Draft, LevelKey, take_back
from oms_sync.domain.stock import MovementKind, StockLevel
from oms_sync.domain.values import Sku
from oms_sync.flows.commands.context import CommandContext, CommandRefused, announce
from oms_sync.flows.ports import UnitOfWork
from oms_sync.flows.records import StoredOrder

#: how often a change starts anew because orders it must shorten came up meanwhile
ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One wanted change of one level: a count, or units more or fewer."""

    sku: Sku
    location: str
    kind: MovementKind = MovementKind.ADJUSTMENT
    #: what physically lies there, units of orders not yet shipped included
    count: int | None = None
    delta: int = 0
    #: when the count was true; None means now
    counted_at: datetime | None = None
    safety_stock: int | None = None
    reason: str
    source: str
    #: of the file it came from
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What a change did."""

    sku: Sku
    location: str
    on_hand_before: int
    on_hand: int
    #: reserved units that became shortage
    units_short: int
    is_new_sku: bool


class ChangesRefused(CommandRefused):
    """Some changes cannot be made; none was."""

    def __init__(self, refused: Sequence[tuple[Change, str]]) -> None:
        self.refused = tuple(refused)
        super().__init__("\n".join(reason for _, reason in refused))


def set_count(
    context: CommandContext,
    sku: Sku,
    *,
    location: str,
    units: int,
    reason: str,
    at: datetime | None = None,
) -> Booked:
    """Record a count: what physically lies there, at `at`."""
    change = Change(
        sku=sku, location=location, count=units, counted_at=at, reason=reason, source="count"
    )
    return book(context, [change])[0][0]


def adjust(context: CommandContext, sku: Sku, *, location: str, delta: int, reason: str) -> Booked:
    """Units more or fewer than the books say, of a SKU that was counted."""
    if delta == 0:
        raise CommandRefused("an adjustment of 0 changes nothing")
    change = Change(sku=sku, location=location, delta=delta, reason=reason, source="adjustment")
    return book(context, [change])[0][0]


def receive(context: CommandContext, sku: Sku, *, location: str, units: int, reason: str) -> Booked:
    """Goods that arrived, of a SKU that was counted."""
    if units <= 0:
        raise CommandRefused("a receipt needs at least one unit")
    change = Change(
        sku=sku,
        location=location,
        kind=MovementKind.RECEIPT,
        delta=units,
        reason=reason,
        source="receipt",
    )
    return book(context, [change])[0][0]


def set_safety_stock(
    context: CommandContext, sku: Sku, *, location: str, units: int, reason: str
) -> None:
    """Units kept from every channel at `location`."""
    context.check_location(location)
    now = context.clock.now()
    with context.open_work() as work:
        if sku not in work.stock.known([sku]):
            raise CommandRefused(f"nobody knows the SKU {sku!r}; count it first: stock set")
        work.stock.lock([sku])
        work.stock.set_safety_stock(sku, location, units, at=now, actor=context.actor)
        work.timeline.add(
            [
                Event(
                    name="stock.safety_stock_set",
                    at=now,
                    actor=context.actor,
                    sku=sku,
                    detail={"location": location, "safety_stock": units, "reason": reason},
                )
            ]
        )
        announce(context, work, [sku])
        work.commit()


def book(
    context: CommandContext, changes: Sequence[Change], *, skip_bad: bool = False
) -> tuple[tuple[Booked, ...], tuple[tuple[Change, str], ...]]:
    """Make the changes in one transaction; answers what was done and what was refused, and why.

    Raises ChangesRefused when any is refused, unless bad ones are to be skipped. Each level may be
    changed once.
    """
    order_ids: set[str] = set()
    for _ in range(ATTEMPTS_MAX):
        with context.open_work() as work:
            booking = _Booking(context, work, changes, order_ids)
            booking.run()
            if booking.unlocked:
                # Orders are locked before levels: begin anew with these orders locked first.
                order_ids |= booking.unlocked
                continue
            if booking.refused and not skip_bad:
                raise ChangesRefused(booking.refused)
            booking.store()
            work.commit()
            return tuple(booking.booked), tuple(booking.refused)
    raise CommandRefused("orders kept changing while stock was counted; try again")


@dataclass(slots=True)
class _Loss:
    """Reserved units an order line loses at one location."""

    order_id: str
    line_id: str
    units: int


@dataclass(slots=True)
class _Step:
    """What one change comes to."""

    delta: int
    losses: list[_Loss] = field(default_factory=list)


class _Booking:
    """One attempt, inside one transaction."""

    def __init__(
        self,
        context: CommandContext,
        work: UnitOfWork,
        changes: Sequence[Change],
        order_ids: Iterable[str],
    ) -> None:
        skus = sorted({change.sku for change in changes})
        self._context = context
        self._work = work
        self._changes = changes
        self._now = context.clock.now()
        locked = sorted(work.orders.lock(sorted(order_ids)))
        self._known = work.stock.known(skus)
        work.stock.ensure(skus)
        self._draft = Draft(work.stock.lock(skus), at=self._now, actor=context.actor)
        # What lines hold changes under the level locks alone: read it now that we have them.
        self._orders: dict[str, StoredOrder] = work.orders.load(locked)
        self._changed: set[LevelKey] = set()
        self._events: list[Event] = []
        self._shortened: set[str] = set()
        self.booked: list[Booked] = []
        self.refused: list[tuple[Change, str]] = []
        self.unlocked: set[str] = set()

    def run(self) -> None:
        for change in self._changes:
            try:
                self._context.check_location(change.location)
                step = self._plan(change)
            except (CommandRefused, DomainError) as error:
                self.refused.append((change, str(error)))
                continue
            self._apply(change, step)

    def store(self) -> None:
        levels = {key: self._draft.levels[key] for key in sorted(self._changed)}
        self._work.stock.append(self._draft.movements, levels)
        self._work.orders.save_reservations([self._orders[i] for i in sorted(self._shortened)])
        for change in self._changes:
            key = (change.sku, change.location)
            if change.safety_stock is not None and key in self._changed:
                self._work.stock.set_safety_stock(
                    change.sku,
                    change.location,
                    change.safety_stock,
                    at=self._now,
                    actor=self._context.actor,
                )
        self._work.timeline.add(self._events)
        announce(self._context, self._work, (sku for sku, _ in self._changed))
        for order_id in sorted(self._shortened):
            self._work.wake("reserve", self._orders[order_id].known.ref.account)

    def _plan(self, change: Change) -> _Step:
        """What the change comes to; refuses it before anything is drafted."""
        level = self._level(change)
        where = f"{change.sku} at {change.location}"
        if change.count is None and not level.is_counted:
            raise CommandRefused(
                f"{where} was never counted; count it first: "
                f"stock set SKU N --location {change.location} --reason count"
            )
        after = level.on_hand + change.delta if change.count is None else self._counted(change)
        if after < 0:
            raise CommandRefused(f"{where}: {level.on_hand} on hand, {change.delta} is too much")
        if after < level.unavailable:
            raise CommandRefused(f"{where}: {level.unavailable} units are marked unavailable")
        excess = level.reserved + level.unavailable - after
        losses = self._take_back(level, excess) if excess > 0 else []
        return _Step(delta=after - level.on_hand, losses=losses)

    def _counted(self, change: Change) -> int:
        """What lies there now, from what lay there when it was counted."""
        assert change.count is not None, "only a count is carried forward"
        if change.counted_at is None:
            return change.count
        if change.counted_at > self._now:
            raise CommandRefused(f"{change.sku}: a count cannot be of the future")
        last = self._work.stock.last_counted_at(change.sku, change.location)
        if last is not None and last > change.counted_at:
            raise CommandRefused(
                f"{change.sku} at {change.location} was counted again at {last.isoformat()}, after "
                "this count; the newer one stands"
            )
        moved = self._work.stock.on_hand_moved(change.sku, change.location, since=change.counted_at)
        if change.count + moved < 0:
            raise CommandRefused(
                f"{change.sku} at {change.location}: {-moved} units have left since the count "
                f"of {change.count}; count again"
            )
        return change.count + moved

    def _take_back(self, level: StockLevel, excess: int) -> list[_Loss]:
        holders = self._work.stock.holders(level.sku, level.location)
        self.unlocked |= {order_id for _, order_id, _, _ in holders} - self._orders.keys()
        if self.unlocked:
            return []
        order_of = {line_id: order_id for line_id, order_id, _, _ in holders}
        losses = take_back(level, [(line, at, units) for line, _, at, units in holders], excess)
        return [
            _Loss(order_id=order_of[line_id], line_id=line_id, units=units)
            for line_id, units in losses.items()
        ]

    def _apply(self, change: Change, step: _Step) -> None:
        if self.unlocked:
            return
        key = (change.sku, change.location)
        before = self._level(change).on_hand
        for loss in step.losses:
            self._draft.move(
                key,
                MovementKind.RELEASE,
                reason="fewer units than reserved",
                source=f"order:{loss.order_id}",
                reserved_delta=-loss.units,
            )
            self._shorten(change, loss)
        self._draft.move(
            key, change.kind, reason=change.reason, source=change.source, on_hand_delta=step.delta
        )
        self._changed.add(key)
        self._note(change, step.delta)
        self.booked.append(
            Booked(
                sku=change.sku,
                location=change.location,
                on_hand_before=before,
                on_hand=before + step.delta,
                units_short=sum(loss.units for loss in step.losses),
                is_new_sku=change.sku not in self._known,
            )
        )

    def _shorten(self, change: Change, loss: _Loss) -> None:
        order = self._orders[loss.order_id]
        lines = tuple(
            replace(
                line,
                held=_less(line.held, change.location, loss.units),
                quantity_short=line.quantity_short + loss.units,
            )
            if line.line_id == loss.line_id
            else line
            for line in order.lines
        )
        self._orders[loss.order_id] = replace(order, lines=lines, is_reserve_due=True)
        self._shortened.add(loss.order_id)
        self._events.append(
            Event(
                name="stock.ran_short",
                at=self._now,
                actor=self._context.actor,
                order_id=loss.order_id,
                sku=change.sku,
                account=order.known.ref.account,
                detail={
                    "location": change.location,
                    "units": loss.units,
                    "reason": change.reason,
                },
            )
        )

    def _note(self, change: Change, delta: int) -> None:
        name = "stock.counted" if change.count is not None else "stock.adjusted"
        if change.kind is MovementKind.RECEIPT:
            name = "stock.received"
        at = change.counted_at
        self._events.append(
            Event(
                name=name,
                at=self._now,
                actor=self._context.actor,
                sku=change.sku,
                detail={
                    "location": change.location,
                    "delta": delta,
                    "on_hand": self._level(change).on_hand,
                    "reason": change.reason,
                    "counted_at": at.isoformat() if at else None,
                },
            )
        )

    def _level(self, change: Change) -> StockLevel:
        key = (change.sku, change.location)
        return self._draft.levels.get(key) or StockLevel(sku=key[0], location=key[1])


def _less(held: Mapping[str, int], location: str, units: int) -> dict[str, int]:
    left = dict(held)
    left[location] = left.get(location, 0) - units
    return {place: count for place, count in left.items() if count}
