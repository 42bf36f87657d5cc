"""Listings as CSV: `account,channel_listing_id,channel_sku,sku[,buffer,cap]`, in and out.

A row without a SKU leaves its listing unlinked; an unknown SKU is created uncounted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from oms_sync.domain.values import Sku, parse_sku
from oms_sync.flows.commands.context import CommandContext, Fault
from oms_sync.flows.commands.csv_rows import (
    Columns,
    Row,
    check_faults,
    parse_rows,
    read_rows,
    write_rows,
)
from oms_sync.flows.commands.listings import Link, link
from oms_sync.flows.manual import MANUAL

COLUMNS = Columns(
    required=("account", "channel_listing_id", "channel_sku", "sku"), optional=("buffer", "cap")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingsImported:
    """What an import did."""

    links: int
    new_skus: tuple[Sku, ...]
    skipped: tuple[Fault, ...]


def import_listings(
    context: CommandContext, content: bytes, *, file: str, skip_bad: bool = False
) -> ListingsImported:
    """Pair every row in one transaction; raises BadFile, then nothing was changed."""
    rows, faults = read_rows(content, file=file, columns=COLUMNS)
    parsed = parse_rows(rows, _link, file=file, faults=faults)
    links: dict[tuple[str, str], Link] = {}
    for line, one in parsed:
        key = (one.account, one.channel_listing_id)
        reason = ""
        if one.account not in context.profiles or one.account == MANUAL:
            reason = f"there is no channel account {one.account!r} in the configuration"
        elif key in links:
            reason = f"listing {one.channel_listing_id} of {one.account} stands in the file twice"
        if reason:
            faults.append(Fault(file=file, line=line, reason=reason))
        else:
            links[key] = one
    check_faults(faults, skip_bad=skip_bad)
    fresh = link(context, list(links.values()))
    return ListingsImported(links=len(links), new_skus=tuple(sorted(fresh)), skipped=tuple(faults))


def export_listings(listings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The listing report as the CSV that `import_listings` reads."""
    header = (*COLUMNS.required, *COLUMNS.optional)
    return write_rows(header, ([one.get(name) for name in header] for one in listings))


def _link(row: Row) -> Link:
    return Link(
        account=row.text("account"),
        channel_listing_id=row.text("channel_listing_id"),
        channel_sku=row.cells["channel_sku"],
        sku=parse_sku(row.cells["sku"]) if row.cells["sku"] else None,
        buffer=row.optional("buffer", Row.whole_number),
        cap=row.optional("cap", Row.whole_number),
    )
