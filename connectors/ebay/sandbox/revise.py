"""ReviseInventoryStatus: up to four nodes, each with an outcome of its own.

The quantity asked for is what is left to sell; the one answers show counts sold units too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from connectors.ebay.sandbox.books import Books, Listing
from connectors.ebay.sandbox.limits import pacific_day
from connectors.ebay.sandbox.markup import CURRENCY, Markup, tag
from connectors.ebay.sandbox.shapes import Asked
from connectors.ebay.sandbox.wrongs import Refused, Wrong, invalid, wrong
from oms_sync.sdk.sandbox_records import Variant

NODES_MAX: Final = 4
REVISIONS_MAX: Final = 250
QUANTITY_MAX: Final = 999_999
_GTC: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The body of an answer, and what went wrong in parts of it."""

    body: Markup
    wrongs: tuple[Wrong, ...] = ()
    is_partial: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    sku: str
    number: str
    quantity: int | None
    price: Decimal | None

    @property
    def about(self) -> tuple[tuple[str, str], ...]:
        return (("ItemID", self.number), *([("SKU", self.sku)] if self.sku else []))


class Revise:
    """Answers the call."""

    def __init__(self, books: Books) -> None:
        self._books, self._store = books, books.store

    def __call__(self, asked: Asked) -> Answer:
        nodes = [_node(each) for each in asked.all("InventoryStatus")]
        if not nodes:
            raise invalid("InventoryStatus", "1 to 4 are required")
        if len(nodes) > NODES_MAX:
            raise Refused(wrong(21916254, "A request holds at most 4 InventoryStatus nodes."))
        if len(nodes) > 1 and self._store.faults.fires("F08"):
            return self._in_part(nodes)
        return self._each(nodes)

    def many(self, asked: Asked) -> Answer:
        """ReviseFixedPriceItem: one listing's variations, all of them or none; one revision."""
        number = asked.text("Item", "ItemID") or ""
        nodes = [_node(each, number) for each in asked.all("Item", "Variations", "Variation")]
        if not nodes:
            raise invalid("Variations", "1 or more are required")
        found = [self._resolve(node) for node in nodes]
        listing = found[0][0]
        if not listing.has_variations:
            raise Refused(wrong(21916635, "The listing has no variations.", ("ItemID", number)))
        for node in nodes:
            self._check_zero(node, listing)
        self._count_revision(nodes[0], listing)
        if not self._store.faults.fires("F09"):
            for node, (_, variant) in zip(nodes, found, strict=True):
                self._set(node, listing, variant)
        began = self._store.second()
        body = tag("ItemID", listing.id) + tag("StartTime", listing.started_at)
        fees = tag("Fees", tag("Fee", tag("Name", "ListingFee"), _nothing()))
        return Answer(body=Markup(body + tag("EndTime", began + _GTC) + fees))

    def _in_part(self, nodes: list[_Node]) -> Answer:
        """F08: the second half fails for no reason of its own, the rest answers backwards."""
        half = len(nodes) // 2
        answer = self._each(nodes[:half])
        lost = (wrong(10007, "Try again later.", *node.about) for node in reversed(nodes[half:]))
        return Answer(body=answer.body, wrongs=(*lost, *answer.wrongs))

    def _each(self, nodes: list[_Node]) -> Answer:
        wrongs: list[Wrong] = []
        done: list[Markup] = []
        fees: dict[int, Markup] = {}
        for node in nodes:
            try:
                listing, variant = self._resolve(node)
                warning = self._apply(node, listing, variant)
            except Refused as refused:
                wrongs += refused.wrongs
                continue
            wrongs += [warning] if warning else []
            done.append(tag("InventoryStatus", tag("SKU", node.sku), tag("ItemID", listing.id)))
            fees[listing.id] = _fees(listing)
        is_partial = bool(done) or not wrongs
        body = Markup("".join([*done, *fees.values()]))
        return Answer(body=body, wrongs=tuple(wrongs), is_partial=is_partial)

    def _resolve(self, node: _Node) -> tuple[Listing, Variant]:
        def refuse(code: int, why: str) -> Refused:
            return Refused(wrong(code, why, *node.about))

        listing = self._books.listings.get(int(node.number)) if node.number else None
        if not node.number:
            raise refuse(21916735, "The ItemID is required: the listing is not tracked by SKU.")
        if listing is None:
            raise refuse(17, "The item was deleted, or you are not its seller.")
        if listing.ended_at is not None:
            raise refuse(291, "The listing has ended.")
        if listing.is_inventory_managed:
            raise refuse(21919474, "The listing is managed by the Inventory API.")
        return listing, _variant(listing, node, refuse)

    def _apply(self, node: _Node, listing: Listing, variant: Variant) -> Wrong | None:
        is_same_price = node.price is None or node.price == variant.price
        if node.quantity is None and node.price is None:
            raise invalid("Quantity", "a quantity or a price is required")
        if is_same_price and node.quantity in (None, variant.available()):
            code = 21917092 if node.price is None else 21917091
            return wrong(code, "", *node.about)
        self._count_revision(node, listing)
        self._check_zero(node, listing)
        if self._store.faults.fires("F09"):
            return None
        self._set(node, listing, variant)
        return None

    def _set(self, node: _Node, listing: Listing, variant: Variant) -> None:
        if node.price is not None:
            variant.price = node.price
        if node.quantity is not None:
            place = self._store.places[0]
            change = node.quantity - variant.levels[place.id].available
            self._store.move(variant, place, change, by_api=True)
            self._drop_empty(listing, variant, node.quantity)

    def _count_revision(self, node: _Node, listing: Listing) -> None:
        today = pacific_day(self._store.now())
        if listing.revised_on != today:
            listing.revised_on, listing.revisions = today, 0
        if listing.revisions >= REVISIONS_MAX:
            why = f"A listing may be revised {REVISIONS_MAX} times a day."
            raise Refused(wrong(21919165, why, *node.about))
        listing.revisions += 1

    def _check_zero(self, node: _Node, listing: Listing) -> None:
        if node.quantity or node.quantity is None or self._books.keeps_sold_out:
            return
        if not listing.has_variations:
            why = "Quantity 0 needs the out-of-stock control preference."
            raise Refused(wrong(21916583, why, *node.about))

    def _drop_empty(self, listing: Listing, variant: Variant, quantity: int) -> None:
        """Without out-of-stock control a variation set to 0 is removed for good."""
        if not quantity and listing.has_variations and not self._books.keeps_sold_out:
            listing.variants.remove(variant)


def _node(asked: Asked, number: str = "") -> _Node:
    quantity = asked.whole("Quantity")
    if quantity is not None and not 0 <= quantity <= QUANTITY_MAX:
        raise invalid("Quantity", f"0 to {QUANTITY_MAX}")
    return _Node(
        sku=asked.text("SKU") or "",
        number=number or asked.text("ItemID") or "",
        quantity=quantity,
        price=asked.amount("StartPrice"),
    )


def _variant(listing: Listing, node: _Node, refuse: Callable[[int, str], Refused]) -> Variant:
    if not listing.has_variations:
        if node.sku and node.sku != listing.variants[0].sku:
            raise refuse(21916635, "The listing has one SKU, and it is another one.")
        return listing.variants[0]
    if not node.sku:
        raise refuse(21916735, "The listing has variations: ItemID and SKU are required.")
    variant = listing.variation(node.sku)
    if variant is None:
        raise refuse(21916799, "The listing has no variation of this SKU.")
    return variant


def _nothing() -> Markup:
    return tag("Fee", Decimal(0), currencyID=CURRENCY)


def _fees(listing: Listing) -> Markup:
    fee = tag("Fee", tag("Name", "ListingFee"), _nothing())
    return tag("Fees", tag("ItemID", listing.id), fee)
