"""Everything the seller offers, by report: a search ends after a thousand SKUs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from connectors.amazon.client import Client
from connectors.amazon.faults import Denied
from oms_sync import sdk

REPORT: Final = "GET_MERCHANT_LISTINGS_ALL_DATA"
WAIT_SECONDS_MAX: Final = 600.0
PAUSE_SECONDS: Final = 2.0
PAUSE_SECONDS_MAX: Final = 30.0
#: the column's names, its title in English first; Amazon may translate them
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "sku": ("seller-sku", "sku", "出品者sku"),
    "title": ("item-name", "商品名"),
    "fulfilment": ("fulfillment-channel", "fulfilment-channel", "フルフィルメント・チャンネル"),
}
HELD: Final = "Amazon holds its stock: it is recorded and never written"
POOL_ROLE: Final = "Amazon Fulfillment"
POOL_PAGES_MAX: Final = 2_000
_NEEDED: Final = ("sku", "fulfilment")
#: what a report is written in when it does not say and is no UTF-8
_LEGACY: Final = {"A1VC38T7YXB528": "cp932"}
_LEGACY_ELSEWHERE: Final = "cp1252"


def read_listings(client: Client) -> sdk.ListingPage:
    """One page with every SKU of every marketplace; quantities are one per region."""
    found: dict[str, sdk.ChannelListing] = {}
    for marketplace_id in client.marketplace_ids:
        body = _report(client, marketplace_id)
        for row in _rows(decode(body, marketplace_id)):
            listing = _listing(row)
            known = found.get(listing.channel_sku)
            if known is None or known.is_stocked:  # who may not be written stays so
                found[listing.channel_sku] = listing
    return sdk.ListingPage(listings=tuple(_with_pool(client, found)), cursor=None)


def _with_pool(
    client: Client, found: Mapping[str, sdk.ChannelListing]
) -> Iterator[sdk.ChannelListing]:
    """Amazon's own pool is another than the seller's: shown beside it, and never written."""
    held = {sku for sku, listing in found.items() if listing.warning == HELD}
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


def decode(body: bytes, marketplace_id: str) -> str:
    """The report's text; the SDK would read UTF-8 as Latin-1."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding = _LEGACY.get(marketplace_id, _LEGACY_ELSEWHERE)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise sdk.BadPayload(f"the report is neither UTF-8 nor {encoding}") from error


def _report(client: Client, marketplace_id: str) -> bytes:
    asked = client.run(
        "createReport",
        reportType=REPORT,
        marketplaceIds=[marketplace_id],
        priority=sdk.Priority.BULK,
    )
    report_id, waited, pause = str(asked.fields["reportId"]), 0.0, PAUSE_SECONDS
    while waited < WAIT_SECONDS_MAX:
        report = client.run("getReport", report_id, priority=sdk.Priority.BULK).fields
        status = report["processingStatus"]
        if status == "CANCELLED":  # so Amazon says that there is nothing to report
            return b""
        if status == "FATAL":
            raise sdk.ChannelDown(f"Amazon cannot make the report of listings ({report_id})")
        if status == "DONE":
            document_id = report.get("reportDocumentId")
            if not document_id:
                raise sdk.ChannelDown(f"report {report_id} is done and names no document")
            return client.document_of(
                "getReportDocument", str(document_id), priority=sdk.Priority.BULK
            )
        client.wait(pause)
        waited, pause = waited + pause, min(pause * 2, PAUSE_SECONDS_MAX)
    raise sdk.RetryLater(
        f"Amazon has not made the report of listings within {WAIT_SECONDS_MAX:.0f} s: run it again"
    )


def _rows(text: str) -> list[dict[str, str]]:
    """The rows under our names of the columns; a title nobody knows is said, never guessed."""
    if not text.strip():
        return []
    # Quotes are letters here, and a cell ends at the next tab or line whatever it holds.
    first, *lines = text.replace("\r\n", "\n").split("\n")
    titles = [title.strip().lower() for title in first.split("\t")]
    places = {
        name: titles.index(alias)
        for name, aliases in COLUMNS.items()
        for alias in aliases
        if alias in titles
    }
    missing = [name for name in _NEEDED if name not in places]
    if missing:
        raise sdk.BadPayload(
            f"the report of listings has no column for {', '.join(missing)}, only {titles[:40]}"
        )
    rows = (dict(enumerate(line.split("\t"))) for line in lines)
    named = [{name: row.get(place, "").strip() for name, place in places.items()} for row in rows]
    return [row for row in named if row["sku"]]  # without one there is nothing to link


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
