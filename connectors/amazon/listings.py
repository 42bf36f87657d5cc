"""Everything the seller offers, by report: a search ends after a thousand SKUs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from connectors.amazon.client import Client
from connectors.amazon.faults import Denied, Refused
from connectors.amazon.reports import decode, report_of, rows_of
from oms_sync import sdk

REPORT: Final = "GET_MERCHANT_LISTINGS_ALL_DATA"
#: the column's names, its title in English first; Amazon may translate them
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "sku": ("seller-sku", "sku", "出品者sku"),
    "title": ("item-name", "商品名"),
    "fulfilment": ("fulfillment-channel", "fulfilment-channel", "フルフィルメント・チャンネル"),
    "quantity": ("quantity", "数量"),
}
HELD: Final = "Amazon holds its stock: it is recorded and never written"
#: of a SKU whose marketplaces show different quantities
UNSHARED: Final = "its quantity differs by marketplace"
_APART: Final = "one is written; if it stays so for a day, enter one account per marketplace"
POOL_ROLE: Final = "Amazon Fulfillment"
POOL_PAGES_MAX: Final = 2_000
_NEEDED: Final = ("sku", "fulfilment")


def read_listings(client: Client) -> sdk.ListingPage:
    """One page with every SKU of every marketplace; quantities are one per region."""
    found: dict[str, sdk.ChannelListing] = {}
    shown: dict[str, dict[str, str]] = defaultdict(dict)
    refused: dict[str, Exception] = {}
    for marketplace_id in client.marketplace_ids:
        try:
            body = report_of(client, REPORT, marketplace_id, "listings")
        except (Denied, Refused) as error:
            refused[marketplace_id] = error  # it must not cost the others their listings
            continue
        for row in rows_of(decode(body, marketplace_id), COLUMNS, _NEEDED, "listings"):
            if not row["sku"]:
                continue  # there is nothing to link
            listing = _listing(row)
            known = found.get(listing.channel_sku)
            if known is None or known.is_stocked:  # who may not be written stays so
                found[listing.channel_sku] = listing
            if row.get("quantity", "").isdecimal():
                shown[listing.channel_sku][marketplace_id] = row["quantity"]
    if refused and not found:
        raise next(iter(refused.values()))
    told = {sku: _compared(one, shown[sku]) for sku, one in found.items()}
    listings = tuple(_with_pool(client, _with_refusals(told, refused)))
    return sdk.ListingPage(listings=listings, cursor=None)


def unshared(page: sdk.ListingPage) -> str:
    """What an operator should know of SKUs whose quantity is not one in the region."""
    skus = [one.channel_sku for one in page.listings if UNSHARED in one.warning]
    if not skus:
        return ""
    return f"the quantity of {len(skus)} SKUs, such as {skus[0]}, differs by marketplace: {_APART}"


def _compared(listing: sdk.ChannelListing, quantities: Mapping[str, str]) -> sdk.ChannelListing:
    """Say where marketplaces show different quantities: then they do not share their stock."""
    if not listing.is_stocked or len(set(quantities.values())) < 2:  # noqa: PLR2004
        return listing
    told = ", ".join(f"{place}: {units}" for place, units in quantities.items())
    return replace(listing, warning=f"{UNSHARED} ({told}): {_APART}")


def _with_refusals(
    found: dict[str, sdk.ChannelListing], refused: Mapping[str, Exception]
) -> dict[str, sdk.ChannelListing]:
    """Say on the first listing whose listings are not among them: a page has no other place."""
    if not refused:
        return found
    told = "; ".join(f"the listings of {one} are not read: {why}" for one, why in refused.items())
    sku, first = next(iter(found.items()))
    return found | {sku: replace(first, warning="; ".join(filter(None, (first.warning, told))))}


def _with_pool(
    client: Client, found: Mapping[str, sdk.ChannelListing]
) -> Iterator[sdk.ChannelListing]:
    """Amazon's own pool is another than the seller's: shown beside it, and never written."""
    held = {sku for sku, listing in found.items() if listing.warning.startswith(HELD)}
    pool: Mapping[str, int] = {}
    note = ""
    try:
        pool = read_pool(client) if held else {}
    except Denied:
        note = f"; how much cannot be read: grant the application the role {POOL_ROLE}"
    for sku, listing in found.items():
        if sku in pool and sku in held:
            warning = f"{listing.warning}; {pool[sku]} can be sold there"
            yield replace(listing, channel_pool=pool[sku], warning=warning)
        else:
            yield replace(listing, warning=listing.warning + note) if sku in held else listing


def read_pool(client: Client) -> dict[str, int]:
    """Units Amazon can ship of each SKU it holds; a page's token is good for 30 seconds."""
    place = client.marketplace_ids[0]
    pool: dict[str, int] = {}
    token: dict[str, str] = {}
    for _ in range(POOL_PAGES_MAX):
        fields = client.run(
            "getInventorySummaries",
            details="true",
            granularityType="Marketplace",
            granularityId=place,
            marketplaceIds=place,
            priority=sdk.Priority.BULK,
            **token,
        ).fields
        for each in fields["payload"]["inventorySummaries"]:
            units = (each.get("inventoryDetails") or {}).get("fulfillableQuantity")
            if type(units) is int:
                pool[each["sellerSku"]] = units
        following = (fields.get("pagination") or {}).get("nextToken")
        if not following:
            return pool
        token = {"nextToken": following}
    raise sdk.ChannelDown("the summaries of FBA inventory do not end")


def _listing(row: Mapping[str, Any]) -> sdk.ChannelListing:
    sku, fulfilment = row["sku"], row["fulfilment"]
    warning = ""
    if fulfilment.startswith("AMAZON"):
        warning = HELD
    elif fulfilment != "DEFAULT":
        warning = f"its stock is kept at {fulfilment or 'no place'}: it is not written"
    return sdk.ChannelListing(
        channel_listing_id=sku,
        channel_sku=sku,
        title=row.get("title", ""),
        # A report may be hours old: what is shown now is for a look to say.
        quantity=None,
        is_stocked=not warning,
        warning=warning,
    )
