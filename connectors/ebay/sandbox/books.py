"""What eBay knows beyond the shared store: listings, order ids and their aliases, parcels.

The store counts units and keeps orders; here is what only this channel has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from oms_sync.sdk.sandbox import Refusal
from oms_sync.sdk.sandbox_records import Level, Line, Order, Refund, Variant
from oms_sync.sdk.sandbox_store import Store

#: every eighth SKU begins a listing of four variations, another is managed by the Inventory API
_PERIOD: Final = 8
_VARIATIONS: Final = 4
_AWKWARD: Final = 9
_INVENTORY_AT: Final = 6
_AWKWARD_GROUP: Final = (2, 3)
_WITHOUT_SKU_UNITS: Final = 9
_TEN_DIGITS: Final = 10**10


@dataclass(slots=True, kw_only=True, eq=False)
class Listing:
    """One ItemID: a single offer or several variations."""

    id: int
    title: str
    variants: list[Variant]
    has_variations: bool
    is_inventory_managed: bool = False
    started_at: datetime
    ended_at: datetime | None = None
    ending_reason: str | None = None
    relisted_as: int | None = None
    #: revisions of the day they were counted on
    revisions: int = 0
    revised_on: str = ""

    def variation(self, sku: str) -> Variant | None:
        return next((each for each in self.variants if each.sku == sku), None)


@dataclass(slots=True, kw_only=True, eq=False)
class Parcel:
    """One tracking number on one line."""

    id: int
    line: Line
    carrier: str
    number: str
    shipped_at: datetime
    #: parcels told in one call are one shipment
    group: int


@dataclass(slots=True, kw_only=True, eq=False)
class MoneyBack:
    """What of one refund goes to one line, or to the order as a whole (None)."""

    refund: Refund
    line: Line | None
    amount: Decimal
    #: when the buyer has it; until then no other refund is taken
    done_at: datetime
    is_failed: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Sheet:
    """What eBay keeps of an order beside the store's record."""

    #: the id shown now, and every id it ever had
    name: str
    names: list[str]
    parcels: list[Parcel] = field(default_factory=list)
    #: when a line was marked as shipped, by line id
    shipped_at: dict[int, datetime] = field(default_factory=dict)
    #: QuantityPurchased as shown, by line id
    purchased: dict[int, int] = field(default_factory=dict)
    paid_at: datetime | None = None
    #: the buyer wishes to cancel, and nobody has decided yet
    is_cancel_asked: bool = False
    #: sold through the vendor's international programme
    goes_abroad: bool = False
    #: refunds sent by API
    refunds: list[MoneyBack] = field(default_factory=list)


class Books:
    """Listings and orders of one seller; the caller holds the store's lock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.listings: dict[int, Listing] = {}
        self.listing_of: dict[int, Listing] = {}
        self.sheets: dict[int, Sheet] = {}
        self._by_name: dict[str, int] = {}
        self._line_names: dict[int, str] = {}
        self._order_of_line: dict[str, int] = {}
        #: who used a tracking number first, by order id
        self._tracking: dict[str, int] = {}
        #: the account's out-of-stock control preference
        self.keeps_sold_out = True
        #: refunds are taken in and come to nothing
        self.fails_refunds = False
        self._region = 1 + int(store.secret("order-region")[:4], 16) % 27
        self._list_everything()
        #: what each offer was listed with, by variant id
        self.listed_with = {each.id: each.available() for each in store.by_sku.values()}

    # --- listings --------------------------------------------------------------------------------

    def _list_everything(self) -> None:
        group: Listing | None = None
        for index, variant in enumerate(self.store.variants.values()):
            at = (index - _AWKWARD) % _PERIOD if index >= _AWKWARD else _PERIOD
            is_grouped = at < _VARIATIONS or index in _AWKWARD_GROUP
            begins = at == 0 or index == _AWKWARD_GROUP[0]
            if is_grouped and not begins and group is not None:
                variant.product_id = group.id
                group.variants.append(variant)
                self.listing_of[variant.id] = group
                continue
            group = self._list(variant, has_variations=is_grouped)
            group.is_inventory_managed = at == _INVENTORY_AT
        if self.store.variants:
            self._list_without_sku()

    def _list(self, variant: Variant, *, has_variations: bool) -> Listing:
        listing = Listing(
            id=variant.product_id,
            title=variant.title,
            variants=[variant],
            has_variations=has_variations,
            started_at=self.store.created_at,
        )
        self.listings[listing.id] = self.listing_of[variant.id] = listing
        return listing

    def _list_without_sku(self) -> None:
        """A listing whose seller never set a SKU; bought under its ItemID."""
        store, like = self.store, next(iter(self.store.variants.values()))
        number, place = store.next_id(), store.places[0]
        level = Level(place=place, available=_WITHOUT_SKU_UNITS, updated_at=store.created_at)
        variant = Variant(
            id=store.next_id(),
            product_id=number,
            item_id=store.next_id(),
            sku="",
            title="Article without SKU",
            price=like.price,
            created_at=store.created_at,
            updated_at=store.created_at,
            levels={store.places[0].id: level},
        )
        store.by_sku[str(number)] = variant
        self._list(variant, has_variations=False)

    def sold(self, variant: Variant) -> int:
        """QuantitySold: committed or shipped, cancelled ones taken off."""
        return sum(level.committed for level in variant.levels.values())

    def quantity(self, variant: Variant) -> int:
        """Quantity as answers show it: what is on sale and what was sold."""
        return variant.available() + self.sold(variant)

    def end(self, listing: Listing, reason: str) -> None:
        listing.ended_at, listing.ending_reason = self.store.second(), reason

    def relist(self, listing: Listing) -> Listing:
        """The same offer under a new ItemID."""
        fresh = Listing(
            id=self.store.next_id(),
            title=listing.title,
            variants=list(listing.variants),
            has_variations=listing.has_variations,
            is_inventory_managed=listing.is_inventory_managed,
            started_at=self.store.second(),
        )
        listing.relisted_as = fresh.id
        self.listings[fresh.id] = fresh
        for variant in fresh.variants:
            variant.product_id = fresh.id
            self.listing_of[variant.id] = fresh
        return fresh

    def gather(self, variants: list[Variant]) -> Listing:
        """Single offers become the variations of one new listing."""
        whole = self._list(variants[0], has_variations=True)
        for variant in variants:
            old = self.listing_of[variant.id]
            if old is not whole:
                del self.listings[old.id]
                whole.variants.append(variant)
            variant.product_id, self.listing_of[variant.id] = whole.id, whole
        return whole

    def active(self) -> Iterator[Listing]:
        return (listing for listing in self.listings.values() if listing.ended_at is None)

    # --- orders ----------------------------------------------------------------------------------

    def line_name(self, line: Line) -> str:
        """OrderLineItemID: it stays, whatever becomes of the order or the listing."""
        return self._line_names[line.id]

    def open_sheet(self, order: Order) -> Sheet:
        """Give a new order its id: another one as long as it is not paid."""
        self._name_lines(order)
        name = self._paid_name(order) if order.is_paid else self._unpaid_name(order)
        sheet = Sheet(name=name, names=[name])
        sheet.paid_at = order.created_at if order.is_paid else None
        self.sheets[order.id], self._by_name[name] = sheet, order.id
        self.count_purchased(order)
        return sheet

    def _name_lines(self, order: Order) -> None:
        for line in order.lines:
            name = f"{line.variant.product_id}-{line.id}"
            self._order_of_line[self._line_names.setdefault(line.id, name)] = order.id

    def rename(self, order: Order, name: str) -> None:
        sheet = self.sheets[order.id]
        if name != sheet.name:
            sheet.name = name
            sheet.names.append(name)
            self._by_name[name] = order.id

    def mark_paid(self, order: Order) -> None:
        self.sheets[order.id].paid_at = self.store.second()
        self.rename(order, self._paid_name(order))

    def absorb(self, order: Order, other: Order) -> None:
        """All ids of another order lead to this one from now on, and it gets a new one."""
        mine, theirs = self.sheets[order.id], self.sheets.pop(other.id)
        mine.names += theirs.names
        mine.purchased |= theirs.purchased
        mine.shipped_at |= theirs.shipped_at
        mine.parcels += theirs.parcels
        mine.is_cancel_asked |= theirs.is_cancel_asked
        for name in theirs.names:
            self._by_name[name] = order.id
        self._name_lines(order)
        self.rename(order, str(self.store.next_id()))

    def count_purchased(self, order: Order) -> None:
        """QuantityPurchased follows the units left, but never down to nothing."""
        self._name_lines(order)
        purchased = self.sheets[order.id].purchased
        for line in order.lines:
            left = line.quantity - line.removed
            purchased[line.id] = left or purchased.get(line.id, line.quantity)

    def find(self, name: str) -> Order | None:
        """The order any of its ids leads to."""
        return self.store.orders.get(self._by_name.get(name, 0))

    def order(self, name: str) -> Order:
        order = self.find(name)
        if order is None:
            raise Refusal(404, "unknown_order", channel_order_id=name)
        return order

    def find_line(self, name: str) -> tuple[Order, Line] | None:
        """The line of an OrderLineItemID, and the order it is in now."""
        order = self.store.orders.get(self._order_of_line.get(name, 0))
        if order is None:
            return None
        return next((order, line) for line in order.lines if self.line_name(line) == name)

    def claim(self, number: str, order: Order) -> bool:
        """Whether the order may use a tracking number: it belongs to who was first."""
        owner = self._tracking.setdefault(number, order.id)
        if owner not in self.store.orders:
            owner = self._tracking[number] = order.id
        return owner == order.id

    def _paid_name(self, order: Order) -> str:
        number = f"{order.id % _TEN_DIGITS:010d}"
        return f"{self._region:02d}-{number[:5]}-{number[5:]}"

    def _unpaid_name(self, order: Order) -> str:
        """One line: its own id; several: a number."""
        only = order.lines[0] if len(order.lines) == 1 else None
        return self.line_name(only) if only else str(self.store.next_id())


def is_gone(line: Line) -> bool:
    """No unit of the line is wanted any more; it is shown all the same."""
    return line.removed >= line.quantity


def is_cancelled(order: Order) -> bool:
    """Cancelled as a whole, or line by line."""
    return order.cancelled_at is not None or all(is_gone(line) for line in order.lines)


def subtotal(order: Order, sheet: Sheet) -> Decimal:
    """What the lines cost that are wanted; of a cancelled order all of them."""
    lines = [line for line in order.lines if is_cancelled(order) or not is_gone(line)]
    return sum((line.variant.price * sheet.purchased[line.id] for line in lines), Decimal(0))
