"""`oms-sync stock …`."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.cli.desk import (
    ImportFile,
    command_context,
    location_of,
    open_desk,
    read_file,
    sku_of,
    time_of,
)
from oms_sync.cli.output import (
    Json,
    Output,
    SkipBad,
    note,
    say,
    show_facts,
    show_faults,
    show_heading,
    show_json,
    show_table,
    write_text,
)

if TYPE_CHECKING:
    from oms_sync.flows.commands.stock import Booked

app = typer.Typer(help="What lies where, what is reserved, what is left.", no_args_is_help=True)

_UNITS = re.compile("[0-9]{1,10}")
_DELTA = re.compile("[+-]?[0-9]{1,10}")
#: lets `-3` be a number instead of an option
_NUMBERS = {"ignore_unknown_options": True}

SkuArgument = Annotated[str, typer.Argument(metavar="SKU", help="The exact SKU.")]
Units = Annotated[str, typer.Argument(metavar="N", help="A whole number of units.")]
Location = Annotated[
    str | None, typer.Option("--location", help="Location code; may be left out if there is one.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the movement.")]

_COUNTS = {
    "on_hand": "on hand#",
    "unavailable": "unavailable#",
    "reserved": "reserved#",
    "safety_stock": "safety#",
}


@app.command("list")
def list_stock(context: typer.Context, as_json: Json = False) -> None:
    """List every SKU with its counts and what is available to sell."""
    with open_desk(context) as desk:
        found = desk.reports.stock()
    if as_json:
        show_json(found)
        return
    columns = {"sku": "SKU", "counted": "counted", **_COUNTS, "available_to_sell": "to sell#"}
    show_table(columns, found, none="no SKU is known yet; see: oms-sync stock import --help")


@app.command("show")
def show_stock(context: typer.Context, sku: SkuArgument, as_json: Json = False) -> None:
    """Show one SKU: its counts per location, and every listing that sells it."""
    with open_desk(context) as desk:
        found = desk.reports.stock_item(sku_of(sku))
    if as_json:
        show_json(found)
        return
    apart = ("locations", "listings", "channel_pools")
    show_facts({name: found[name] for name in found if name not in apart})
    show_heading("Locations")
    columns = {"code": "location", "counted": "counted", **_COUNTS}
    show_table(columns, found["locations"], none="counted nowhere")
    show_heading("Listings")
    columns = {
        "account": "account",
        "channel_sku": "channel SKU",
        "channel_quantity": "desired#",
        "sent": "sent#",
        "confirmed": "confirmed#",
        "expected": "expected#",
        "state": "state",
    }
    show_table(columns, found["listings"], none="no listing sells it")
    if found["channel_pools"]:
        show_heading("Held and shipped by channels, no stock of ours")
        columns = {
            "account": "account",
            "channel_sku": "channel SKU",
            "channel_pool": "held#",
            "at": "at",
        }
        show_table(columns, found["channel_pools"], none="")


@app.command("explain")
def explain_stock(
    context: typer.Context,
    sku: SkuArgument,
    account: Annotated[
        str | None, typer.Option("--account", help="Explain what this account's listing shows.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="As it was then, such as 2026-05-01T14:30:00Z.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where a SKU's number comes from, term by term; the terms add up to it."""
    with open_desk(context) as desk:
        found = desk.reports.explain(sku_of(sku), account=account, at=time_of(at, "--at"))
    if as_json:
        show_json(found)
        return
    show_table(
        {"name": "term", "amount": "amount#", "cause": "because"}, found["terms"], none="no terms"
    )
    say(f"= {found['value']} at {found['at']}")
    for one in found["listings"]:
        if one["why"]:
            shows = "shows an unknown quantity" if one["shows"] is None else f"shows {one['shows']}"
            say(f"listing {one['channel_listing_id']} {shows} ({one['state']}): {one['why']}")


@app.command("set", context_settings=_NUMBERS)
def set_stock(
    context: typer.Context,
    sku: SkuArgument,
    count: Units,
    reason: Reason,
    location: Location = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="When the count was true; what moved since is added."),
    ] = None,
) -> None:
    """Record a count: what physically lies there, units of unshipped orders included."""
    from oms_sync.flows.commands.stock import set_count

    with open_desk(context) as desk:
        acting = command_context(desk)
        booked = set_count(
            acting,
            sku_of(sku),
            location=location_of(acting, location),
            units=_number(count, _UNITS),
            reason=reason,
            at=time_of(at, "--at"),
        )
    _tell(booked)


@app.command("adjust", context_settings=_NUMBERS)
def adjust_stock(
    context: typer.Context,
    sku: SkuArgument,
    delta: Annotated[str, typer.Argument(metavar="±N", help="Units more or fewer: +5 or -2.")],
    reason: Reason,
    location: Location = None,
) -> None:
    """Correct the books by some units more or fewer."""
    from oms_sync.flows.commands.stock import adjust

    with open_desk(context) as desk:
        acting = command_context(desk)
        booked = adjust(
            acting,
            sku_of(sku),
            location=location_of(acting, location),
            delta=_number(delta, _DELTA),
            reason=reason,
        )
    _tell(booked)


@app.command("receive")
def receive_stock(
    context: typer.Context,
    sku: SkuArgument,
    units: Units,
    location: Location = None,
    reason: Reason = "received",
) -> None:
    """Book goods that arrived."""
    from oms_sync.flows.commands.stock import receive

    with open_desk(context) as desk:
        acting = command_context(desk)
        booked = receive(
            acting,
            sku_of(sku),
            location=location_of(acting, location),
            units=_number(units, _UNITS),
            reason=reason,
        )
    _tell(booked)


@app.command("safety")
def set_safety(
    context: typer.Context,
    sku: SkuArgument,
    units: Units,
    reason: Reason,
    location: Location = None,
) -> None:
    """Set the units kept from every channel."""
    from oms_sync.flows.commands.stock import set_safety_stock

    with open_desk(context) as desk:
        acting = command_context(desk)
        set_safety_stock(
            acting,
            sku_of(sku),
            location=location_of(acting, location),
            units=_number(units, _UNITS),
            reason=reason,
        )
    say(f"{sku}: {units} units are kept from every channel")


@app.command("import")
def import_file(context: typer.Context, file: ImportFile, skip_bad: SkipBad = False) -> None:
    """Record the counts of a CSV file: sku,location,on_hand[,safety_stock]."""
    from oms_sync.flows.commands.stock_files import import_stock

    with open_desk(context) as desk:
        done = import_stock(
            command_context(desk), read_file(file), file=str(file), skip_bad=skip_bad
        )
    show_faults(done.skipped)
    short = sum(booked.units_short for booked in done.booked)
    say(f"{len(done.booked)} counts recorded")
    if short:
        note(f"{short} reserved units are now short; see: oms-sync orders list")


@app.command("export")
def export_file(context: typer.Context, output: Output = None) -> None:
    """Write every count as CSV: sku,location,on_hand,safety_stock."""
    from oms_sync.flows.commands.stock_files import export_stock

    with open_desk(context) as desk:
        found: list[dict[str, Any]] = desk.reports.stock()
    write_text(export_stock(found), output)


def _number(text: str, pattern: re.Pattern[str]) -> int:
    if not pattern.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not a whole number of units")
    return int(text)


def _tell(booked: "Booked") -> None:
    if booked.is_new_sku:
        note(f"{booked.sku} is a new SKU")
    if booked.units_short:
        note(f"{booked.units_short} reserved units are now short; see: oms-sync orders list")
    where = f"{booked.sku} at {booked.location}"
    say(f"{where}: {booked.on_hand_before} → {booked.on_hand} on hand")
