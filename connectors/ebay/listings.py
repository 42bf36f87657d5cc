"""What is on sale: eBay's listings and their variations, as lists and single reads show them."""

from dataclasses import dataclass
from typing import Final

from connectors.ebay import render
from connectors.ebay.client import Answer, Client
from connectors.ebay.faults import NO_PAGE_CODES, are_all, refusal
from connectors.ebay.ids import listing_id, variation_id
from connectors.ebay.markup import Node
from connectors.ebay.parse import specifics
from connectors.ebay.trading import TradingCall
from oms_sync import sdk

LIST_CALL: Final = "GetMyeBaySelling"
PAGES_MAX: Final = 1_000
_FIXED: Final = frozenset({"FixedPriceItem", "StoresFixedPrice"})
ZERO_WARNING: Final = "out-of-stock control is off at eBay: a quantity of 0 will not be sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One listing or variation as eBay shows it."""

    channel_listing_id: str
    item_id: str
    sku: str
    title: str
    #: units on sale now; None where eBay counts none
    quantity: int | None
    is_fixed_price: bool
    is_active: bool
    is_variation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivePage:
    """One page of everything on sale."""

    listings: tuple[Shown, ...]
    pages: int
    answer: Answer


def read_page(client: Client, page: int, per_page: int, priority: sdk.Priority) -> ActivePage:
    """One page of what is on sale; every page costs one call, whatever is on it."""
    call = TradingCall(name=LIST_CALL, body=render.active_listings(page, per_page))
    answer = client.attempt(call, priority=priority)
    if page > 1 and are_all(answer.errors, NO_PAGE_CODES):
        return ActivePage(listings=(), pages=0, answer=answer)
    if not answer.is_clean:
        raise refusal(LIST_CALL, answer.errors, is_write=False)
    active = answer.root.find("ActiveList")
    if active is None:  # a seller who offers nothing
        return ActivePage(listings=(), pages=0, answer=answer)
    pages = _count(active, "PaginationResult/TotalNumberOfPages") or 0
    if pages > PAGES_MAX:
        raise sdk.BadPayload(f"{LIST_CALL}: {pages} pages are more than anybody can offer")
    found = [one for each in active.all("ItemArray/Item") for one in shown(each)]
    return ActivePage(listings=tuple(found), pages=pages, answer=answer)


def shown(listing: Node) -> list[Shown]:
    """A listing by itself, or each of its variations."""
    item_id = listing.text("ItemID")
    if item_id is None:
        raise sdk.BadPayload("a listing has no ItemID")
    variations = listing.all("Variations/Variation")
    if not variations:
        return [_shown(listing, item_id, None)]
    return [_shown(listing, item_id, each) for each in variations]


def offered(one: Shown, *, is_zero_allowed: bool) -> sdk.ChannelListing:
    """A listing as discovery hands it to the hub."""
    warnings = []
    if not one.sku:
        remedy = ", and cannot be pushed: give it one at eBay" if one.is_variation else ""
        warnings.append(f"it has no SKU{remedy}")
    if not one.is_fixed_price:
        warnings.append("it is no fixed-price listing: its quantity is never pushed")
    elif not is_zero_allowed:
        warnings.append(ZERO_WARNING)
    return sdk.ChannelListing(
        channel_listing_id=one.channel_listing_id,
        channel_sku=one.sku,
        title=one.title,
        quantity=one.quantity if one.is_fixed_price else None,
        is_stocked=one.is_fixed_price,
        warning="; ".join(warnings),
    )


def _shown(listing: Node, item_id: str, variation: Node | None) -> Shown:
    sku, own_id = listing.text("SKU"), listing_id(item_id)
    title, quantity = listing.text("Title") or "", _available(listing)
    if variation is not None:
        sku = variation.text("SKU")
        named = specifics(variation)
        own_id = variation_id(item_id, sku, named)
        values = ", ".join(" ".join(value) for value in named.values())
        title = variation.text("VariationTitle") or f"{title} [{values}]"
        quantity = _available(variation)
    kind = listing.text("ListingType")
    status = listing.text("SellingStatus/ListingStatus")
    return Shown(
        channel_listing_id=own_id,
        item_id=item_id,
        sku=sku or "",
        title=title,
        quantity=quantity,
        is_fixed_price=kind is None or kind in _FIXED,
        is_active=status is None or status == "Active",
        is_variation=variation is not None,
    )


def _available(node: Node) -> int | None:
    """Units on sale: what eBay calls Quantity in an answer still contains those already sold."""
    told = _count(node, "QuantityAvailable")
    if told is not None:
        return told
    whole = _count(node, "Quantity")
    if whole is None:
        return None
    return max(0, whole - (_count(node, "SellingStatus/QuantitySold") or 0))


def _count(node: Node, path: str) -> int | None:
    text = node.text(path)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= len("1000000000")):
        raise sdk.BadPayload(f"{path} is no count: {text[:40]!r}")
    return int(text)
