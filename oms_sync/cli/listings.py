"""`oms-sync listings …`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.cli.desk import (
    ImportFile,
    command_context,
    open_desk,
    own_session,
    read_file,
    sku_of,
)
from oms_sync.cli.output import (
    Json,
    Output,
    SkipBad,
    long_work,
    note,
    say,
    show_faults,
    show_heading,
    show_json,
    show_table,
    write_text,
)
from oms_sync.flows.commands.context import CommandRefused
from oms_sync.flows.manual import MANUAL

if TYPE_CHECKING:
    from oms_sync.flows.commands.discovery import Discovered

app = typer.Typer(help="Which channel listing sells which SKU.", no_args_is_help=True)

_OUT_OF_STEP = ("behind", "held", "refused", "unseen")

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")]
AccountOption = Annotated[
    str | None, typer.Option("--account", help="Only listings of this account.")
]
ListingArgument = Annotated[
    str, typer.Argument(metavar="LISTING", help="The channel's listing id.")
]


@app.command("list")
def list_listings(
    context: typer.Context, account: AccountOption = None, as_json: Json = False
) -> None:
    """List listings with what they should show and what they show."""
    with open_desk(context) as desk:
        found = desk.reports.listings(account=account)
    if as_json:
        show_json(found)
        return
    columns = {
        "account": "account",
        "channel_listing_id": "listing",
        "channel_sku": "channel SKU",
        "sku": "SKU",
        "channel_quantity": "desired#",
        "confirmed": "confirmed#",
        "expected": "expected#",
        "state": "state",
    }
    if any(one["channel_pool"] is not None for one in found):
        columns["channel_pool"] = "at channel#"
    if any(one["reason"] for one in found):
        columns["reason"] = "why"
    show_table(columns, found, none="no listings yet; see: oms-sync listings discover --help")


@app.command("discover")
def discover_listings(
    context: typer.Context,
    account: AccountArgument,
    creates_skus: Annotated[
        bool,
        typer.Option("--create-skus", help="Make a new, uncounted SKU of every unknown one."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read what an account offers, link exact SKU matches, and list the rest with suggestions."""
    from oms_sync.flows.commands.discovery import discover, read_all
    from oms_sync.sdk import Capability

    with open_desk(context) as desk:
        acting = command_context(desk)
        if acting.profile(account).name == MANUAL:
            raise CommandRefused(f"account {account} takes orders from files, it has no listings")
        if Capability.DISCOVER_LISTINGS not in desk.manifest(account).capabilities:
            raise typer.BadParameter(f"the connector of {account} cannot discover listings")
        with (
            own_session(desk, account) as session,
            long_work(f"reading the listings of {account}") as progress,
        ):
            begun_at = desk.clock.now()
            offered = read_all(session, on_page=progress)
        found = discover(acting, account, offered, creates_skus=creates_skus, begun_at=begun_at)
    if as_json:
        show_json(_discovered(found))
        return
    say(f"{found.found} listings found, {len(found.linked)} linked now, {found.kept} before")
    if found.unmatched:
        show_heading("Not linked")
        columns = {
            "channel_listing_id": "listing",
            "channel_sku": "channel SKU",
            "title": "title",
            "reason": "why",
            "suggestions": "is it?",
        }
        show_table(columns, _discovered(found)["unmatched"], none="")
    for one in found.warnings:
        note(f"{one.channel_sku or one.channel_listing_id}: {one.warning}")


def _discovered(found: "Discovered") -> dict[str, Any]:
    return {
        "found": found.found,
        "kept": found.kept,
        "linked": [
            {"channel_listing_id": one.channel_listing_id, "sku": one.sku} for one in found.linked
        ],
        "unmatched": [
            {
                "channel_listing_id": one.listing.channel_listing_id,
                "channel_sku": one.listing.channel_sku,
                "title": one.listing.title,
                "reason": one.reason,
                "suggestions": list(one.suggestions),
            }
            for one in found.unmatched
        ],
        "warnings": [
            {"channel_listing_id": one.channel_listing_id, "warning": one.warning}
            for one in found.warnings
        ],
    }


@app.command("link")
def link_listing(
    context: typer.Context,
    account: AccountArgument,
    listing: ListingArgument,
    sku: Annotated[str, typer.Argument(metavar="SKU", help="Our SKU it sells.")],
    buffer: Annotated[
        int | None, typer.Option("--buffer", min=0, help="Units kept from this listing.")
    ] = None,
    cap: Annotated[int | None, typer.Option("--cap", min=0, help="The most it may show.")] = None,
) -> None:
    """Say which SKU a listing sells; orders that waited for it are released."""
    from oms_sync.flows.commands.listings import Link, link

    wanted = sku_of(sku)
    with open_desk(context) as desk:
        fresh = link(
            command_context(desk),
            [
                Link(
                    account=account,
                    channel_listing_id=listing,
                    channel_sku=None,
                    sku=wanted,
                    buffer=buffer,
                    cap=cap,
                )
            ],
        )
    if fresh:
        note(f"{wanted} is a new SKU; nothing is pushed until it is counted: oms-sync stock set")
    say(f"listing {listing} of {account} sells {wanted}")


@app.command("unlink")
def unlink_listing(
    context: typer.Context,
    account: AccountArgument,
    listing: ListingArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the timeline.")] = "",
) -> None:
    """Take the SKU off a listing; it is pushed no more."""
    from oms_sync.flows.commands.listings import unlink

    with open_desk(context) as desk:
        unlink(command_context(desk), account, listing, reason=reason)
    say(f"listing {listing} of {account} is not linked any more")


@app.command("import")
def import_file(context: typer.Context, file: ImportFile, skip_bad: SkipBad = False) -> None:
    """Link what a CSV file lists: account,channel_listing_id,channel_sku,sku[,buffer,cap]."""
    from oms_sync.flows.commands.listing_files import import_listings

    with open_desk(context) as desk:
        done = import_listings(
            command_context(desk), read_file(file), file=str(file), skip_bad=skip_bad
        )
    show_faults(done.skipped)
    if done.new_skus:
        note(f"{len(done.new_skus)} new SKUs; nothing of them is pushed until they are counted")
    say(f"{done.links} listings imported")


@app.command("export")
def export_file(
    context: typer.Context, account: AccountOption = None, output: Output = None
) -> None:
    """Write listings as the CSV that `listings import` reads."""
    from oms_sync.flows.commands.listing_files import export_listings

    with open_desk(context) as desk:
        found = desk.reports.listings(account=account)
    write_text(export_listings(found), output)


@app.command("push")
def push_listings(
    context: typer.Context,
    account: Annotated[
        str | None, typer.Argument(metavar="[ACCOUNT]", help="Only this account.")
    ] = None,
    listings: Annotated[
        list[str] | None, typer.Argument(metavar="[LISTING]...", help="Only these listings.")
    ] = None,
    is_all: Annotated[
        bool,
        typer.Option("--all", help="Every linked listing, not only those out of step."),
    ] = False,
) -> None:
    """Have listings looked at and pushed anew, refused and held ones included."""
    from oms_sync.flows.commands.listings import push

    with open_desk(context) as desk:
        acting = command_context(desk)
        found = desk.reports.listings(account=account)
        wanted = _by_account(found, is_all=is_all)
        if account is not None and listings:
            wanted = {account: listings}
        count = sum(push(acting, name, ids) for name, ids in sorted(wanted.items()))
    say(f"{count} listings will be looked at and pushed where they differ")
    note("how many are behind and how long that takes: oms-sync accounts show ACCOUNT")


def _by_account(listings: Sequence[Mapping[str, Any]], *, is_all: bool) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for one in listings:
        if one["sku"] is not None and (is_all or one["state"] in _OUT_OF_STEP):
            wanted.setdefault(one["account"], []).append(one["channel_listing_id"])
    return wanted
