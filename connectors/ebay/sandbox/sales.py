"""What buyers and the seller's hands do at eBay, and what it then knows to be true.

eBay has no edited orders: more units are another transaction of the order, fewer units lower the
quantity purchased. After shipping a refund is money only: nothing goes back on sale.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from connectors.ebay.sandbox.books import Books, Parcel, Sheet, is_cancelled, is_gone
from connectors.ebay.sandbox.markup import stamp
from oms_sync.sdk.sandbox import Purchase, Refusal
from oms_sync.sdk.sandbox_records import Line, Order, Return, Variant
from oms_sync.sdk.sandbox_sales import Sales

#: after these nothing is left to be sold of an offer
SOLD_OUT_REASON: Final = "Sold"


def listing_name(books: Books, variant: Variant) -> str:
    """The hub's id of a listing: the ItemID, with the SKU behind it for a variation."""
    listing = books.listing_of[variant.id]
    return f"{listing.id}/{variant.sku}" if listing.has_variations else str(listing.id)


class SellerSales:
    """A `ChannelTruth`: the shared sales, in this channel's ids and with its own rules."""

    def __init__(self, books: Books) -> None:
        self._books, self._store = books, books.store
        self._sales = Sales(books.store, lambda variant: listing_name(books, variant))
        books.store.listen(self._hear)

    def _hear(self, fact: str, record: Any, _: Any) -> None:
        """Keep the sheet of an order in step; listens first, so that others find it up to date."""
        if fact == "order.placed":
            self._books.open_sheet(record)
        elif fact == "order.paid" and self._books.sheets[record.id].paid_at is None:
            self._books.mark_paid(record)
        elif fact == "stock.changed":
            self._end_when_sold_out(record[0])

    def _end_when_sold_out(self, variant: Variant) -> None:
        """Without out-of-stock control a listing ends with its last unit."""
        listing = self._books.listing_of.get(variant.id)
        is_over = listing and not any(each.available() for each in listing.variants)
        if listing and is_over and not self._books.keeps_sold_out:
            self._books.end(listing, SOLD_OUT_REASON)

    def place(self, purchase: Purchase) -> str:
        if purchase.is_test:
            raise Refusal(422, "not_offered", allowed="orders that are no tests")
        with self._store.act():
            self._refuse_ended(purchase)
            number = self._sales.place(purchase)
            return self._books.sheets[int(number)].name

    def _refuse_ended(self, purchase: Purchase) -> None:
        for sku, _ in purchase.lines:
            variant = self._store.by_sku.get(sku)
            if variant and self._books.listing_of[variant.id].ended_at is not None:
                raise Refusal(409, "sold_out", channel_sku=sku, wanted=1, available=0)

    def pay(self, channel_order_id: str) -> None:
        with self._store.act():
            self._sales.pay(str(self._books.order(channel_order_id).id))

    def cancel(self, channel_order_id: str, *, restock: bool) -> None:
        with self._store.act():
            order = self._books.order(channel_order_id)
            self._sales.cancel(str(order.id), restock=restock)

    def edit(self, channel_order_id: str, quantities: Mapping[str, int]) -> None:
        store = self._store
        with store.act():
            order = self._alive(channel_order_id)
            more: dict[Line, int] = {}
            less: dict[Line, int] = {}
            for sku, quantity in quantities.items():
                change = quantity - sum(line.current for line in _lines_of(order, sku))
                if change > 0:
                    line = Line(id=store.next_id(), variant=store.variant_of(sku), quantity=change)
                    more[line] = change
                else:
                    less |= _fewer(order, sku, -change)
            store.sell(order, more)
            order.lines += more
            for line, count in less.items():
                store.release(order, line, count, restock=True)
            order.is_edited = True
            self._books.count_purchased(order)
            store.tell("order.edited", order, list(more))
            store.changed(order)

    def refund(
        self, channel_order_id: str, quantities: Mapping[str, int] | None, *, restock: bool
    ) -> None:
        with self._store.act():
            order = self._alive(channel_order_id)
            if quantities is None:
                quantities = {line.variant.sku: 0 for line in order.lines}
                quantities = {
                    sku: sum(line.current for line in _lines_of(order, sku)) for sku in quantities
                }
            taken: dict[Line, int] = {}
            for sku, count in quantities.items():
                taken |= _spread(_lines_of(order, sku), count, sku)
            returns = [self._give_back(order, *each, restock=restock) for each in taken.items()]
            self._books.count_purchased(order)
            self._sales.record_refund(order, returns, None)
            self._store.changed(order)

    def _give_back(self, order: Order, line: Line, count: int, *, restock: bool) -> Return:
        unshipped = min(count, line.unfulfilled)
        if unshipped:
            self._store.release(order, line, unshipped, restock=restock)
        line.returned += count - unshipped
        kind = "CANCEL" if unshipped else "RETURN"
        number = self._store.next_id()
        return Return(id=number, line=line, quantity=count, restock_type=kind, place=None)

    def hold(self, channel_order_id: str, *, release: bool) -> None:
        with self._store.act():
            self._sales.hold(str(self._books.order(channel_order_id).id), release=release)

    def combine(self, channel_order_id: str, other_id: str) -> str:
        """One buyer's two unpaid orders become one, under a third id."""
        store = self._store
        with store.act():
            order, other = self._alive(channel_order_id), self._alive(other_id)
            if order is other or order.is_paid or other.is_paid:
                raise Refusal(409, "not_combinable", allowed="two orders not paid yet")
            order.lines += other.lines
            order.work += other.work
            for work in other.work:
                store.work[work.id] = (order, work)
            store.forget(other)
            self._books.absorb(order, other)
            store.changed(order)
            return self._books.sheets[order.id].name

    def send_abroad(self, channel_order_id: str) -> None:
        """The buyer lives abroad: the goods go to the vendor's own hall."""
        with self._store.act():
            order = self._books.order(channel_order_id)
            self._books.sheets[order.id].goes_abroad = True
            self._store.changed(order)

    def gather(self, channel_skus: Iterable[str]) -> str:
        """Single offers go on as the variations of one listing."""
        with self._store.act():
            variants = [self._store.variant_of(sku) for sku in channel_skus]
            known = [self._books.listing_of[variant.id] for variant in variants]
            if any(one.has_variations or one.is_inventory_managed for one in known):
                raise Refusal(409, "not_single")
            return str(self._books.gather(variants).id)

    def end_listing(self, channel_sku: str) -> str:
        """The seller ends a listing by hand."""
        with self._store.act():
            listing = self._books.listing_of[self._store.variant_of(channel_sku).id]
            self._books.end(listing, "NotAvailable")
            return str(listing.id)

    def relist(self, channel_sku: str) -> str:
        """An ended listing goes on under another ItemID, with the quantity it was listed with."""
        with self._store.act():
            listing = self._books.listing_of[self._store.variant_of(channel_sku).id]
            if listing.ended_at is None:
                raise Refusal(409, "not_ended")
            fresh, place = self._books.relist(listing), self._store.places[0]
            for variant in fresh.variants:
                units = self._books.listed_with[variant.id]
                self._store.move(variant, place, units - variant.levels[place.id].available)
            return str(fresh.id)

    def set_quantity(self, channel_sku: str, quantity: int) -> None:
        self._sales.set_quantity(channel_sku, quantity)

    def listings(self) -> Iterable[tuple[str, str]]:
        return [pair for pair in self._sales.listings() if pair[1]]

    def changes(self, after: int) -> list[dict[str, Any]]:
        return self._sales.changes(after)

    def truth(self) -> dict[str, Any]:
        """See `Sandbox.truth`; `aliases` are an order's other ids, old ones and merged ones."""
        store, books = self._store, self._books
        with store.lock:
            variants = [variant for variant in store.variants.values() if variant.sku]
            sold = {variant.sku: books.sold(variant) for variant in variants}
            return {
                "account": store.options.account,
                "orders": {
                    books.sheets[order.id].name: self._order_truth(order)
                    for order in store.orders.values()
                },
                "quantities": {variant.sku: variant.available() for variant in variants},
                "sold": sold,
                "calls": dict(store.calls),
                "refused": list(store.refused),
                # Trading marks a line as shipped as a whole: it has no units of a parcel.
                "ships_whole_lines": True,
            }

    def _order_truth(self, order: Order) -> dict[str, Any]:
        sheet = self._books.sheets[order.id]
        return {
            "channel_order_number": sheet.name,
            "aliases": [name for name in sheet.names if name != sheet.name],
            "state": order.state,
            "paid": order.is_paid,
            "test": False,
            "placed_at": stamp(order.created_at),
            "lines": [self._line_truth(order, sheet, line) for line in order.lines],
            "shipments": [self._shipment_truth(*each) for each in _shipments(sheet)],
        }

    def _shipment_truth(self, parcels: list[Parcel], units: int) -> dict[str, Any]:
        line = parcels[0].line
        shipped = {"channel_line_id": self._books.line_name(line), "quantity": units}
        packages = [{"carrier": each.carrier, "tracking_number": each.number} for each in parcels]
        shown: dict[str, Any] = {"channel_shipment_id": str(parcels[0].id), "packages": packages}
        # Trading marks whole lines: which units of one lie in which parcel it is never told.
        shown["units_known"] = False
        return shown | {"lines": [shipped | {"channel_sku": line.variant.sku}]}

    def _line_truth(self, order: Order, sheet: Sheet, line: Line) -> dict[str, Any]:
        purchased = sheet.purchased[line.id]
        is_off = is_cancelled(order) or is_gone(line)
        return {
            "channel_line_id": self._books.line_name(line),
            "channel_sku": line.variant.sku,
            "quantity_ordered": purchased,
            "quantity_cancelled": purchased if is_off else 0,
            "quantity_shipped": purchased if line.id in sheet.shipped_at else 0,
            "quantity_returned": 0,
        }

    def _alive(self, channel_order_id: str) -> Order:
        order = self._books.order(channel_order_id)
        if is_cancelled(order):
            raise Refusal(409, "already_cancelled")
        return order


def _shipments(sheet: Sheet) -> Iterable[tuple[list[Parcel], int]]:
    """The parcels of one line told in one call; how many units they hold eBay does not know."""
    groups: dict[tuple[int, int], list[Parcel]] = {}
    for parcel in sheet.parcels:
        groups.setdefault((parcel.line.id, parcel.group), []).append(parcel)
    for (line_id, _), parcels in groups.items():
        yield parcels, sheet.purchased[line_id]


def _lines_of(order: Order, sku: str) -> list[Line]:
    return [line for line in order.lines if line.variant.sku == sku and line.current]


def _fewer(order: Order, sku: str, count: int) -> dict[Line, int]:
    """Units to be taken off a SKU's lines, the newest first."""
    lines = [line for line in reversed(_lines_of(order, sku)) if line.unfulfilled]
    if sum(line.unfulfilled for line in lines) < count:
        raise Refusal(409, "already_shipped", channel_sku=sku)
    return _spread(lines, count, sku) if count else {}


def _spread(lines: list[Line], count: int, sku: str) -> dict[Line, int]:
    if not 0 < count <= sum(line.current for line in lines):
        raise Refusal(409, "more_than_left", channel_sku=sku)
    taken: dict[Line, int] = {}
    for line in lines:
        units = min(count, line.current)
        if units:
            taken[line] = units
        count -= units
    return taken
