"""GetItem and GetMyeBaySelling: what is on offer, and stale reads of it (F41)."""

from datetime import datetime, timedelta
from typing import Final

from connectors.ebay.sandbox.books import Books, Listing
from connectors.ebay.sandbox.get_orders import page_of, pages
from connectors.ebay.sandbox.markup import Content, Markup, fill, join, tag
from connectors.ebay.sandbox.order_views import style_of
from connectors.ebay.sandbox.shapes import Asked
from connectors.ebay.sandbox.wrongs import Refused, invalid, wrong
from oms_sync.sdk.sandbox_records import Variant
from oms_sync.sdk.sandbox_store import STALE_SECONDS

PAGE_MAX: Final = 200
PAGE_USUAL: Final = 25
#: listings that are good till cancelled renew after this long
RENEWAL: Final = timedelta(days=30)
_CONTAINERS: Final = ("ScheduledList", "SoldList", "UnsoldList", "SellingSummary")


class ListingCalls:
    """Answers the two calls."""

    def __init__(self, books: Books) -> None:
        self._books, self._store = books, books.store

    def item(self, asked: Asked) -> Markup:
        number = asked.text("ItemID")
        listing = self._books.listings.get(int(number)) if number else None
        if listing is None:
            raise Refused(wrong(17, "The item was deleted, or you are not its seller."))
        return fill(
            "Item",
            **self._shown(listing, has_variations=True),
            relisted_as=listing.relisted_as,
            ending_reason=listing.ending_reason,
            sold=sum(map(self._books.sold, listing.variants)),
            status="Active" if listing.ended_at is None else "Completed",
        )

    def my_selling(self, asked: Asked) -> Markup:
        wanted = asked.all("ActiveList")
        others = [name for name in _CONTAINERS if asked.all(name)]
        if others:
            raise invalid(others[0], "this sandbox lists what is active: ask for ActiveList")
        if not wanted or wanted[0].flag("Include") is False:
            return Markup("")
        size, number = page_of(wanted[0], PAGE_MAX, PAGE_USUAL)
        listings = list(self._books.active())
        start, has_variations = (number - 1) * size, asked.flag("HideVariations") is not True
        if start and start >= len(listings):
            raise Refused(wrong(340, f"There is no page {number}."))
        shown = join(
            fill("ActiveItem", **self._shown(each, has_variations=has_variations))
            for each in listings[start : start + size]
        )
        return tag("ActiveList", tag("ItemArray", shown), pages(len(listings), size))

    def _shown(self, listing: Listing, *, has_variations: bool) -> dict[str, Content]:
        """Quantity counts the sold ones too; what is left is the difference."""
        sold = {variant.id: self._books.sold(variant) for variant in listing.variants}
        available = {variant.id: self._read(variant) for variant in listing.variants}
        first = listing.variants[0] if listing.variants else None
        is_single = not listing.has_variations
        variations = join(
            fill(
                "Variation",
                sku=each.sku or None,
                style=style_of(each),
                price=each.price,
                quantity=available[each.id] + sold[each.id],
                sold=sold[each.id],
                title=listing.title,
            )
            for each in listing.variants
        )
        return {
            "item": listing.id,
            "started_at": listing.started_at,
            "ends_at": self._ends_at(listing),
            "quantity": sum(available.values()) + sum(sold.values()),
            "price": first.price if first else None,
            "title": listing.title,
            "available": sum(available.values()),
            "sku": (first.sku or None) if first and is_single else None,
            "variations": None if is_single or not has_variations else variations,
        }

    def _ends_at(self, listing: Listing) -> datetime:
        if listing.ended_at is not None:
            return listing.ended_at
        age = self._store.now() - listing.started_at
        return listing.started_at + RENEWAL * (age // RENEWAL + 1)

    def _read(self, variant: Variant) -> int:
        """Units on sale, or (F41) what they were before our last write."""
        level = variant.levels[self._store.places[0].id]
        stale = timedelta(seconds=STALE_SECONDS)
        is_fresh = level.written_at is not None and self._store.now() - level.written_at < stale
        if is_fresh and self._store.faults.fires("F41"):
            return level.available_before
        return variant.available()
