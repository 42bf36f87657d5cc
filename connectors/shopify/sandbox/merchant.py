"""What a merchant and a shop's own settings do that only Shopify has: odd orders and odd money.

Payments, returns, schedules, counter sales, lines without stock, a second currency, missing scopes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from connectors.shopify.sandbox.gids import gid
from oms_sync.sdk.sandbox import Refusal
from oms_sync.sdk.sandbox_records import (
    Dispatch,
    Line,
    Order,
    Place,
    Refund,
    Sent,
    Variant,
    Work,
)
from oms_sync.sdk.sandbox_sales import Sales
from oms_sync.sdk.sandbox_store import Store

CURRENCY: Final = "USD"
WINDOW: Final = timedelta(days=60)
#: currencies without a minor unit
WHOLE: Final = frozenset({"JPY"})
_NOTHING: Final = Decimal(0)


@dataclass(slots=True, kw_only=True, eq=False)
class Disposition:
    """What was done with returned units."""

    id: int
    line: Line
    quantity: int
    kind: str
    place: Place | None


@dataclass(slots=True, kw_only=True, eq=False)
class GoodsBack:
    """One return of one order."""

    id: int
    created_at: datetime
    sent: Sent
    quantity: int
    dispositions: list[Disposition] = field(default_factory=list)
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Money of one refund that went back to one payment, in both currencies."""

    parent: str
    shop: Decimal
    shown: Decimal


class Merchant:
    """The merchant's hands and settings; views ask it how things look."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: currency buyers see and how much of it one unit of the shop's is
        self.shown_currency, self.rate = CURRENCY, Decimal(1)
        self.shipping_price, self.tax_included_percent = _NOTHING, 0
        #: scopes the app was not granted
        self.withheld_scopes: set[str] = set()
        #: places that are a fulfilment service's, by id
        self.services: set[int] = set()
        #: whether a hold, a move or a new date also moves the time of its order
        self.does_work_touch = False
        #: inventory item ids of bundles, whose parents count no stock of their own
        self.bundles: set[int] = set()
        self.schedule: dict[int, datetime] = {}
        self.returns: dict[int, list[GoodsBack]] = {}
        self.refund_returns: dict[int, GoodsBack] = {}
        self.payments: dict[int, list[Decimal]] = {}
        self.parts: dict[int, list[Part]] = {}
        self._dress: dict[tuple[str, int], dict[str, Any]] = {}

    # --- how things look -------------------------------------------------------------------------

    def dress(self, kind: str, number: int, **fields: Any) -> None:
        """From now on the record shows these fields."""
        self._dress.setdefault((kind, number), {}).update(fields)

    def dressed(self, kind: str, number: int) -> dict[str, Any]:
        return self._dress.get((kind, number), {})

    def bag(self, value: Decimal) -> dict[str, Any]:
        """An amount as the vendor writes it, in the shop's currency and the buyer's."""
        return {
            "shopMoney": _money(value, CURRENCY),
            "presentmentMoney": _money(value * self.rate, self.shown_currency),
        }

    def status(self, work: Work) -> str:
        due = self.schedule.get(work.id)
        is_early = due is not None and due > self._store.now()
        return "SCHEDULED" if is_early and work.status == "OPEN" else work.status

    def sees(self, order: Order) -> bool:
        """Whether the app may see an order of that age."""
        is_limited = "read_all_orders" in self.withheld_scopes
        return not is_limited or order.created_at > self._store.now() - WINDOW

    def shows(self, work: Work) -> bool:
        """Whether the app may see a fulfilment order."""
        is_theirs = work.place.id in self.services
        return not is_theirs or "read_third_party_fulfillment_orders" not in self.withheld_scopes

    def touch_work(self, order: Order, work: Work, fact: str | None) -> None:
        """Note that a fulfilment order changed, and tell of it; of its order only if it is so."""
        store = self._store
        work.updated_at = store.second()
        if fact is not None:
            store.tell(fact, order, work)
        if self.does_work_touch:
            store.changed(order)

    def back_of(self, number: int) -> tuple[Order, GoodsBack] | None:
        """The return of this number, and its order."""
        for order_id, backs in self.returns.items():
            for back in backs:
                if back.id == number:
                    return self._store.orders[order_id], back
        return None

    def is_real(self, variant: Variant) -> bool:
        """False for lines that name no variant of the catalogue."""
        return variant.id in self._store.variants

    # --- money -----------------------------------------------------------------------------------

    def tax(self, goods: Decimal) -> Decimal:
        percent = self.tax_included_percent
        return (goods * percent / (100 + percent)).quantize(Decimal("0.01"))

    def paid(self, order: Order) -> list[tuple[str, Decimal]]:
        """The order's payments by gid."""
        if not order.is_paid:
            return []
        units = (line.variant.price * line.quantity for line in order.lines)
        amounts = self.payments.get(order.id) or [sum(units, self.shipping_price)]
        return [
            (gid("OrderTransaction", order.id + number), amount)
            for number, amount in enumerate(amounts)
        ]

    def parts_of(self, order: Order, refund: Refund) -> list[Part]:
        known = self.parts.get(refund.id)
        payments = self.paid(order)
        if known is None and payments and refund.amount:
            shown = refund.amount * self.rate
            return [Part(parent=payments[0][0], shop=refund.amount, shown=shown)]
        return known or []

    def left(self, order: Order) -> dict[str, Decimal]:
        """What can still go back, by payment, in the buyer's currency."""
        left = {parent: amount * self.rate for parent, amount in self.paid(order)}
        for refund in order.refunds:
            for part in self.parts_of(order, refund):
                left[part.parent] -= part.shown
        return left

    # --- acts ------------------------------------------------------------------------------------

    def add_line(self, channel_order_id: str, title: str, price: str, **shown: Any) -> str:
        """A line without stock: a tip, a gift card, a custom line; answers its id."""
        store = self._store
        with store.act():
            order, at = store.order(channel_order_id), store.second()
            ids = [store.next_id() for _ in range(4)]
            variant = Variant(
                id=ids[0],
                product_id=ids[1],
                item_id=ids[2],
                sku="",
                title=title,
                price=Decimal(price),
                created_at=at,
                updated_at=at,
                is_tracked=False,
            )
            order.lines.append(Line(id=ids[3], variant=variant, quantity=1))
            self.dress("LineItem", ids[3], **shown)
            store.changed(order)
            return str(ids[3])

    def delete(self, channel_order_id: str) -> None:
        """The merchant deletes the order for good."""
        store = self._store
        with store.act():
            order = store.order(channel_order_id)
            store.forget(order)
            store.tell("order.deleted", order)

    def put_off(self, channel_order_id: str, until: datetime) -> None:
        """The order's open work is to be shipped at a later date."""
        store = self._store
        with store.act():
            order = store.order(channel_order_id)
            for work in (each for each in order.work if each.status == "OPEN"):
                self.schedule[work.id] = until
                self.touch_work(order, work, None)

    def take_back(
        self, channel_order_id: str, channel_sku: str, units: int, kinds: Mapping[str, int]
    ) -> None:
        """Shipped units come back; `kinds` says what is done with how many."""
        store = self._store
        with store.act():
            order = store.order(channel_order_id)
            sent = next(
                (
                    each
                    for dispatch in order.dispatches
                    for each in dispatch.lines
                    if each.work_line.line.variant.sku == channel_sku and each.quantity >= units
                ),
                None,
            )
            if sent is None or sum(kinds.values()) > units:
                raise Refusal(409, "more_than_shipped", channel_sku=channel_sku)
            back = GoodsBack(
                id=store.next_id(), created_at=store.second(), sent=sent, quantity=units
            )
            for kind, count in kinds.items():
                self._dispose(back, kind, count, store.places[0])
            self.returns.setdefault(order.id, []).append(back)
            store.tell("return.disposed", order, back)

    def _dispose(self, back: GoodsBack, kind: str, count: int, place: Place) -> None:
        line, is_restocked = back.sent.work_line.line, kind == "RESTOCKED"
        where = place if is_restocked else None
        back.dispositions.append(
            Disposition(id=self._store.next_id(), line=line, quantity=count, kind=kind, place=where)
        )
        if is_restocked:
            line.returned += count
            self._store.move(line.variant, place, count)

    def dispose(self, channel_order_id: str, kinds: Mapping[str, int]) -> None:
        """More of the newest return is dealt with; the order itself does not change by it."""
        store = self._store
        with store.act():
            order = store.order(channel_order_id)
            back = self.returns[order.id][-1]
            for kind, count in kinds.items():
                self._dispose(back, kind, count, store.places[0])
            store.tell("return.disposed", order, back)

    def unstock(self, channel_sku: str, place_code: str) -> None:
        """The article is not stocked at that place any more."""
        store = self._store
        with store.act():
            place = next(each for each in store.places if each.code == place_code)
            store.variant_of(channel_sku).levels.pop(place.id, None)

    def close_return(self, channel_order_id: str) -> None:
        """The merchant closes the newest return; the order itself does not change by it."""
        store = self._store
        with store.act():
            order = store.order(channel_order_id)
            back = self.returns[order.id][-1]
            back.is_closed = True
            store.tell("return.closed", order, back)

    def settle_return(self, channel_order_id: str) -> None:
        """The money of the newest return goes back; its refund speaks of no restocking."""
        store = self._store
        with store.act():
            order = store.order(channel_order_id)
            back = self.returns[order.id][-1]
            amount = back.sent.work_line.line.variant.price * back.quantity
            refund = Refund(
                id=store.next_id(), lines=[], note=None, created_at=store.second(), amount=amount
            )
            self.refund_returns[refund.id] = back
            order.refunds.append(refund)
            store.tell("order.refunded", order, refund)
            store.changed(order)

    def sell_over_the_counter(
        self, channel_sku: str, units: int, place_code: str, order: Order
    ) -> None:
        """Turn a fresh order into one of the till: taken away at once, at that place."""
        store = self._store
        with store.act():
            place = next(each for each in store.places if each.code == place_code)
            variant, at = store.variant_of(channel_sku), store.second()
            line = Line(id=store.next_id(), variant=variant, quantity=units)
            order.lines.append(line)
            store.move(variant, place, -units, units)
            work = store.new_work(order, place, [(line, units)])
            done = work.lines[0]
            done.remaining, line.fulfilled = 0, units
            store.move(variant, place, 0, -units)
            order.dispatches.append(
                Dispatch(
                    id=store.next_id(),
                    name=f"{order.name}-F1",
                    work=[work],
                    lines=[Sent(id=store.next_id(), work_line=done, quantity=units)],
                    packages=[],
                    created_at=at,
                    updated_at=at,
                )
            )
            store.dispatches[order.dispatches[-1].id] = order
            order.closed_at = at
            self.dress(
                "Order",
                order.id,
                sourceName="pos",
                shippingAddress=None,
                shippingLine=None,
                email=None,
                phone=None,
            )


class ShopSales(Sales):
    """What buyers and the seller's hands do; a hold is a thing of the work, not of the order."""

    def __init__(self, store: Store, merchant: Merchant) -> None:
        super().__init__(store, lambda variant: gid("InventoryItem", variant.item_id))
        self._merchant = merchant

    def touch_work(self, order: Order, work: Work, fact: str) -> None:
        """The order changes with its work only where the shop says so."""
        self._merchant.touch_work(order, work, fact)


def _money(value: Decimal, currency: str) -> dict[str, str]:
    text = f"{value:.0f}.00" if currency in WHOLE else f"{value:.2f}"
    amount = text[:-1] if text.endswith("0") else text
    return {"amount": amount, "currencyCode": currency}
