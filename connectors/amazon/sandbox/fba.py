"""Stock in Amazon's own warehouses and the orders Amazon fulfils from it.

It is another pool than the seller's: such an order never lowers the offered quantity. A quantity
sent for an FBA listing flips it to merchant-fulfilled; that is noted for tests to see.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from connectors.amazon.sandbox.marketplace import order_id, stamp
from oms_sync.sdk.sandbox import Purchase, Refusal
from oms_sync.sdk.sandbox_records import Dispatch, Line, Order, Place, Sent, Variant, Work, WorkLine
from oms_sync.sdk.sandbox_sales import Sales
from oms_sync.sdk.sandbox_store import Store

#: SKUs that exist as FBA listings only, beside the seeded ones
FBA_SKUS: Final = ("FBA-00001", "FBA-00002")
UNITS_AT_START: Final = 500
FORBIDDEN_KEPT_MAX: Final = 1_000

Later = Callable[[float, Callable[[], None]], None]


class FbaPool:
    """The FBA listings, the units behind them, and the orders taken from them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.place = Place(id=store.next_id(), code="fba", name="Amazon")
        self.listings = {sku: self._listing(sku) for sku in FBA_SKUS}
        self.units: Counter[str] = Counter()
        #: offered as merchant-fulfilled since somebody sent a quantity
        self.flipped: dict[str, int] = {}
        #: writes a hub must never do
        self.forbidden: list[dict[str, Any]] = []

    def _listing(self, sku: str) -> Variant:
        store, at = self._store, self._store.created_at
        return Variant(
            id=store.next_id(),
            product_id=store.next_id(),
            item_id=store.next_id(),
            sku=sku,
            title=f"Article {sku}",
            price=Decimal("24.95"),
            created_at=at,
            updated_at=at,
        )

    def variant_of(self, sku: str) -> Variant:
        return self.listings.get(sku) or self._store.variant_of(sku)

    def flip(self, sku: str, quantity: int) -> None:
        self.flipped[sku] = quantity
        self.listings[sku].updated_at = self._store.second()
        self.forbid("quantity_for_fba", channel_sku=sku, quantity=quantity)

    def forbid(self, reason: str, **detail: Any) -> None:
        """Note a write that a hub must never do."""
        if len(self.forbidden) < FORBIDDEN_KEPT_MAX:
            self.forbidden.append({"at": stamp(self._store.now()), "reason": reason, **detail})

    def take(self, sku: str, count: int) -> None:
        """Take units out of the warehouse, or bring them back with a negative count."""
        left = UNITS_AT_START - self.units[sku]
        if left < count:
            raise Refusal(409, "sold_out", channel_sku=sku, wanted=count, available=left)
        self.units[sku] += count


class FbaOrders:
    """What buyers do with orders that Amazon fulfils; Amazon ships them by itself."""

    def __init__(self, store: Store, sales: Sales, pool: FbaPool, later: Later) -> None:
        self._store, self._sales, self._pool, self._later = store, sales, pool, later

    def place(self, purchase: Purchase) -> str:
        store, pool = self._store, self._pool
        wanted: Counter[str] = Counter()
        for sku, count in purchase.lines:
            if count < 1:
                raise Refusal(400, "bad_quantity", allowed="1 or more")
            wanted[sku] += count
        lines = [
            Line(id=store.next_id(), variant=pool.variant_of(sku), quantity=count)
            for sku, count in wanted.items()
        ]
        taken: list[Line] = []
        try:
            for line in lines:
                pool.take(line.variant.sku, line.quantity)
                taken.append(line)
        except Refusal:
            for line in taken:
                pool.take(line.variant.sku, -line.quantity)
            raise
        order = self._sales.new_order(purchase, lines)
        self._sales.announce(order)
        if order.is_paid:
            self._ship_later(order)
        return order_id(order)

    def pay(self, order: Order) -> None:
        if order.is_paid or order.cancelled_at is not None:
            raise Refusal(409, "already_paid" if order.is_paid else "already_cancelled")
        order.is_paid = True
        self._store.changed(order)
        self._ship_later(order)

    def cancel(self, order: Order) -> None:
        if order.cancelled_at is not None or any(line.fulfilled for line in order.lines):
            raise Refusal(409, "already_cancelled" if order.cancelled_at else "already_shipped")
        for line in order.lines:
            self._pool.take(line.variant.sku, -line.unfulfilled)
            line.removed += line.unfulfilled
        order.cancelled_at = order.closed_at = self._store.second()
        order.cancel_reason = "CUSTOMER"
        self._store.changed(order)

    def _ship_later(self, order: Order) -> None:
        self._later(self._store.options.late_seconds, lambda: self.ship(order))

    def ship(self, order: Order) -> None:
        """Amazon ships everything that is not cancelled."""
        store = self._store
        with store.act():
            units = [(line, line.unfulfilled) for line in order.lines if line.unfulfilled]
            if not units or order.cancelled_at is not None:
                return
            at = store.second()
            lines = [
                WorkLine(id=store.next_id(), line=line, total=count, remaining=0)
                for line, count in units
            ]
            work = Work(
                id=store.next_id(),
                place=self._pool.place,
                lines=lines,
                created_at=at,
                updated_at=at,
            )
            sent = [Sent(id=store.next_id(), work_line=each, quantity=each.total) for each in lines]
            package: dict[str, str | None] = {
                "company": "AMZN_US",
                "number": f"TBA{store.next_id()}",
            }
            package |= {"service": "Standard", "shipped_at": stamp(at)}
            dispatch = Dispatch(
                id=store.next_id(),
                name="1",
                work=[work],
                lines=sent,
                packages=[package],
                created_at=at,
                updated_at=at,
            )
            for line, count in units:
                line.fulfilled += count
            order.dispatches.append(dispatch)
            order.closed_at = at
            store.changed(order)
