"""What buyers and the seller's hands do at a channel, and what it then knows to be true.

Tells, in the store's words: order.placed, .paid, .cancelled, .edited, .refunded, .updated,
work.held, .released, and stock.changed for every move of what is on sale.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from oms_sync.sdk.sandbox import Purchase, Refusal
from oms_sync.sdk.sandbox_records import Hold, Line, Order, Place, Refund, Return, Variant, Work
from oms_sync.sdk.sandbox_store import Store

_FIRST_NUMBER: Final = 1001


class Sales:
    """A `ChannelTruth` over a `Store`; `listing_id` words the channel's id of a listing."""

    def __init__(self, store: Store, listing_id: Callable[[Variant], str]) -> None:
        self._store, self._listing_id = store, listing_id

    def place(self, purchase: Purchase) -> str:
        """See `ChannelTruth`."""
        store = self._store
        with store.act():
            try:
                return str(self._place(purchase).id)
            except Refusal as refusal:
                lines = [{"channel_sku": sku, "quantity": count} for sku, count in purchase.lines]
                refused = {"at": _stamp(store.now()), "reason": refusal.reason, "lines": lines}
                store.refused.append(refused)
                raise

    def _place(self, purchase: Purchase) -> Order:
        store = self._store
        if purchase.fulfilled_by != "seller":
            raise Refusal(422, "not_offered", allowed="orders fulfilled by the seller")
        wanted: dict[Variant, int] = {}
        for sku, count in purchase.lines:
            if count < 1:
                raise Refusal(400, "bad_quantity", allowed="1 or more")
            variant = store.variant_of(sku)
            wanted[variant] = wanted.get(variant, 0) + count
        lines = {
            Line(id=store.next_id(), variant=variant, quantity=count): count
            for variant, count in wanted.items()
        }
        order = self.new_order(purchase, list(lines))
        store.sell(order, lines)
        self.announce(order)
        return order

    def new_order(self, purchase: Purchase, lines: list[Line]) -> Order:
        """An order of these lines that nobody knows of yet; no stock is moved."""
        store = self._store
        at, number = store.now(), _FIRST_NUMBER + len(store.orders)
        return Order(
            id=store.next_id(),
            number=number,
            lines=lines,
            buyer=_buyer(store.next_id(), number),
            created_at=store.second(),
            updated_at=store.second(),
            visible_at=at,
            visible_in_lists_at=at + timedelta(seconds=store.options.lag_seconds),
            is_paid=purchase.is_paid,
            is_test=purchase.is_test,
            fulfilled_by=purchase.fulfilled_by,
        )

    def announce(self, order: Order) -> None:
        """Let the new order be seen, perhaps late, and tell of it."""
        store = self._store
        self._delay(order, store.now() + timedelta(seconds=store.options.late_seconds))
        store.orders[order.id] = order
        store.touch(order)
        store.tell("order.placed", order)
        if order.is_paid:
            store.tell("order.paid", order)

    def _delay(self, order: Order, late_at: datetime) -> None:
        if self._store.faults.fires("F17"):
            order.visible_in_lists_at = max(order.visible_in_lists_at, late_at)
        if self._store.faults.fires("F15"):
            order.visible_at = late_at
            order.visible_in_lists_at = max(order.visible_in_lists_at, late_at)

    def pay(self, channel_order_id: str) -> None:
        """See `ChannelTruth`."""
        with self._store.act():
            order = self._alive(channel_order_id)
            if order.is_paid:
                raise Refusal(409, "already_paid")
            order.is_paid = True
            self._store.tell("order.paid", order)
            self._store.changed(order)

    def cancel(self, channel_order_id: str, *, restock: bool, reason: str = "CUSTOMER") -> None:
        """See `ChannelTruth`."""
        store = self._store
        with store.act():
            order = self._alive(channel_order_id)
            if any(line.fulfilled for line in order.lines):
                raise Refusal(409, "already_shipped")
            left = {line: line.unfulfilled for line in order.lines if line.unfulfilled}
            order.cancelled_at = order.closed_at = store.second()
            order.cancel_reason = reason
            if order.is_paid and left:
                self._refund(order, left, restock=restock)
            else:
                for line, count in left.items():
                    store.release(order, line, count, restock=restock)
            for work in order.work:
                work.holds.clear()
            store.tell("order.cancelled", order)
            store.changed(order)

    def edit(self, channel_order_id: str, quantities: Mapping[str, int]) -> None:
        """See `ChannelTruth`."""
        store = self._store
        with store.act():
            order = self._alive(channel_order_id)
            known = {line.variant.sku: line for line in order.lines}
            more: dict[Line, int] = {}
            less: dict[Line, int] = {}
            for sku, quantity in quantities.items():
                line = known.get(sku)
                if line is None:
                    variant = store.variant_of(sku)
                    line = Line(id=store.next_id(), variant=variant, quantity=0)
                change = quantity - line.current
                if -change > line.unfulfilled:
                    raise Refusal(409, "already_shipped", channel_sku=sku)
                (more if change > 0 else less)[line] = abs(change)
            store.sell(order, more)
            for line, count in more.items():
                line.quantity += count
                if line.variant.sku not in known:
                    order.lines.append(line)
            for line, count in less.items():
                store.release(order, line, count, restock=True)
            order.is_edited, order.closed_at = True, None
            store.touch(order)
            store.tell("order.edited", order, {"additions": more, "removals": less})
            store.changed(order)

    def refund(
        self, channel_order_id: str, quantities: Mapping[str, int] | None, *, restock: bool
    ) -> None:
        """See `ChannelTruth`."""
        with self._store.act():
            order = self._alive(channel_order_id)
            known = {line.variant.sku: line for line in order.lines if line.current}
            if quantities is None:
                quantities = {sku: line.current for sku, line in known.items()}
            for sku, count in quantities.items():
                if sku not in known or not 0 < count <= known[sku].current:
                    raise Refusal(409, "more_than_left", channel_sku=sku)
            units = {known[sku]: count for sku, count in quantities.items()}
            self._refund(order, units, restock=restock)
            self._store.changed(order)

    def _refund(self, order: Order, units: Mapping[Line, int], *, restock: bool) -> None:
        kind, returns = "CANCEL" if restock else "NO_RESTOCK", []
        for line, count in units.items():
            returns += self.take_back(order, line, count, (kind, None))
        self.record_refund(order, returns, None)

    def take_back(
        self, order: Order, line: Line, count: int, how: tuple[str, Place | None]
    ) -> list[Return]:
        """Refund units of a line by (restock type, location), unshipped ones first."""
        store, returns, (kind, place) = self._store, [], how
        unshipped = 0 if kind == "RETURN" else min(count, line.unfulfilled)
        if unshipped:
            is_restocked = kind == "CANCEL"
            source = store.release(order, line, unshipped, restock=is_restocked, at=place)
            returns.append((unshipped, kind, source if is_restocked else None))
        shipped = count - unshipped
        if shipped:
            line.returned += shipped
            back = None if kind == "NO_RESTOCK" else place or store.places[0]
            if back is None:
                line.kept += shipped
            else:
                store.move(line.variant, back, shipped)
            returns.append((shipped, "RETURN" if back else kind, back))
        return [
            Return(id=store.next_id(), line=line, quantity=n, restock_type=kind, place=where)
            for n, kind, where in returns
        ]

    def record_refund(self, order: Order, returns: list[Return], note: str | None) -> Refund:
        """Note the refund of what `take_back` took back."""
        store = self._store
        amount = sum((each.line.variant.price * each.quantity for each in returns), Decimal(0))
        refund = Refund(
            id=store.next_id(), lines=returns, note=note, created_at=store.second(), amount=amount
        )
        order.refunds.append(refund)
        store.touch(order)
        store.tell("order.refunded", order, refund)
        return refund

    def hold(self, channel_order_id: str, *, release: bool) -> None:
        """See `ChannelTruth`."""
        store = self._store
        with store.act():
            order = self._alive(channel_order_id)
            open_work = [work for work in order.work if work.status != "CLOSED"]
            if not open_work:
                raise Refusal(409, "nothing_open")
            for work in open_work:
                hold = Hold(id=store.next_id(), reason="OTHER", notes="held by hand")
                work.holds = [] if release else [*work.holds, hold]
                self.touch_work(order, work, "work.released" if release else "work.held")

    def touch_work(self, order: Order, work: Work, fact: str) -> None:
        """Note that a fulfilment order changed, and tell of it; here its order changes with it."""
        work.updated_at = self._store.second()
        self._store.tell(fact, order, work)
        self._store.changed(order)

    def set_quantity(self, channel_sku: str, quantity: int) -> None:
        """See `ChannelTruth`."""
        store = self._store
        with store.act():
            variant, place = store.variant_of(channel_sku), store.places[0]
            store.move(variant, place, quantity - variant.levels[place.id].available)

    def listings(self) -> Iterable[tuple[str, str]]:
        """See `ChannelTruth`."""
        variants = self._store.variants.values()
        return [(self._listing_id(variant), variant.sku) for variant in variants]

    def truth(self) -> dict[str, Any]:
        """See `Sandbox.truth`; with `levels` per location besides."""
        store = self._store
        with store.lock:
            sold = dict.fromkeys(store.by_sku, 0)
            for order in store.orders.values():
                for line in order.lines:
                    if not order.is_test and order.fulfilled_by == "seller":
                        sold[line.variant.sku] += line.quantity - line.removed
            variants = store.variants.values()
            return {
                "account": store.options.account,
                "orders": {str(order.id): order_truth(order) for order in store.orders.values()},
                "quantities": {variant.sku: variant.available() for variant in variants},
                "levels": {variant.sku: _level_truth(variant) for variant in variants},
                "sold": sold,
                "calls": dict(store.calls),
                "refused": list(store.refused),
            }

    def changes(self, after: int) -> list[dict[str, Any]]:
        """See `ChannelTruth`."""
        with self._store.lock:
            return self._store.changes.after(after)

    def _alive(self, channel_order_id: str) -> Order:
        order = self._store.order(channel_order_id)
        if order.cancelled_at is not None:
            raise Refusal(409, "already_cancelled")
        return order


def order_truth(order: Order) -> dict[str, Any]:
    """One order as `Sandbox.truth` tells of it."""
    return {
        "channel_order_number": order.name,
        "state": order.state,
        "paid": order.is_paid,
        "test": order.is_test,
        "placed_at": _stamp(order.created_at),
        "lines": [
            _line_truth(line, line.quantity, "quantity_ordered")
            | {"quantity_cancelled": line.removed, "quantity_shipped": line.fulfilled}
            | {"quantity_returned": line.returned - line.kept}
            for line in order.lines
        ],
        "shipments": [
            {
                "channel_shipment_id": str(dispatch.id),
                "packages": [
                    {"carrier": each["company"], "tracking_number": each["number"]}
                    for each in dispatch.packages
                ],
                "lines": [
                    _line_truth(each.work_line.line, each.quantity, "quantity")
                    for each in dispatch.lines
                ],
            }
            for dispatch in order.dispatches
            if not dispatch.is_cancelled
        ],
    }


def _line_truth(line: Line, count: int, name: str) -> dict[str, Any]:
    return {"channel_line_id": str(line.id), "channel_sku": line.variant.sku, name: count}


def _level_truth(variant: Variant) -> dict[str, dict[str, int]]:
    names = ("available", "committed", "on_hand")
    levels = variant.levels.values()
    return {each.place.code: {name: each.quantity(name) for name in names} for each in levels}


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _buyer(identity: int, number: int) -> dict[str, Any]:
    """An invented buyer; the name says which order it was made for."""
    return (
        {"id": identity, "first_name": "Buyer", "last_name": f"No. {number}"}
        | {"email": f"buyer-{number}@example.com", "phone": f"+1555{number:07d}"}
        | {"address1": f"{number} Sandbox Street", "city": "Sampletown"}
        | {"province": "New York", "province_code": "NY", "zip": f"{10_000 + number % 90_000}"}
        | {"country": "United States", "country_code": "US"}
    )
