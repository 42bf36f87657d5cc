"""`oms-sync orders …`, `oms-sync ship`, `oms-sync shipments …`."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.cli.desk import ImportFile, command_context, open_desk, read_file, time_of
from oms_sync.cli.order_view import show_order_parts
from oms_sync.cli.output import (
    Json,
    Output,
    Reveal,
    SkipBad,
    long_work,
    note,
    say,
    show_faults,
    show_json,
    show_table,
    write_file,
    write_text,
)
from oms_sync.domain.order import OrderState

if TYPE_CHECKING:
    from oms_sync.bootstrap import Desk
    from oms_sync.domain.shipment import Package

app = typer.Typer(help="Orders of every channel, and those taken by hand.", no_args_is_help=True)
shipments = typer.Typer(help="What left the building.", no_args_is_help=True)

LIMIT_MAX = 100_000
_LINE = re.compile(r"(?P<name>.+)=(?P<units>[0-9]{1,10})", re.DOTALL)

Order = Annotated[str, typer.Argument(help="Hub id, or account:channel_order_id.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the timeline.")]


class Sort(StrEnum):
    """What a list of orders is sorted by."""

    PLACED = "placed"
    SHIP_BY = "ship-by"


class Paper(StrEnum):
    """Sizes of paper."""

    A4 = "a4"
    LETTER = "letter"


State = Annotated[OrderState | None, typer.Option("--state", help="Only orders in this state.")]
Account = Annotated[str | None, typer.Option("--account", help="Only orders of this account.")]
Since = Annotated[
    str | None, typer.Option("--since", help="Only orders placed since, as 2026-05-01T00:00:00Z.")
]


@app.command("list")
def list_orders(
    context: typer.Context,
    state: State = None,
    account: Account = None,
    since: Since = None,
    sort: Annotated[Sort, typer.Option("--sort", help="What comes first.")] = Sort.PLACED,
    as_json: Json = False,
) -> None:
    """List orders."""
    with open_desk(context) as desk:
        found = desk.reports.orders(
            state=state.value if state else None,
            account=account,
            since=time_of(since, "--since"),
            sort=sort.value,
            limit=LIMIT_MAX,
        )
    if as_json:
        show_json(found)
        return
    show_table(
        {
            "id": "order",
            "ref": "channel order",
            "state": "state",
            "ship_by": "ship by",
            "units": "units#",
            "short": "short#",
            "total": "total#",
        },
        (_summary(order) for order in found),
        none="no such orders",
    )
    if len(found) == LIMIT_MAX:
        note(f"only the first {LIMIT_MAX}; narrow it with --state, --account or --since")


def _summary(order: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **order,
        "ref": f"{order['account']}:{order['channel_order_id']}",
        "state": ": ".join([order["state"], ", ".join(one["code"] for one in order["holds"])])
        if order["holds"]
        else order["state"],
        "units": sum(line["quantity_ordered"] or 0 for line in order["lines"]),
        "short": sum(line["quantity_short"] for line in order["lines"]),
        "total": f"{order['total']} {order['currency']}" if order["total"] else None,
    }


@app.command("show")
def show_order(
    context: typer.Context, order: Order, reveal: Reveal = False, as_json: Json = False
) -> None:
    """Show one order: lines, reservations, shipments, money, and its whole timeline."""
    with open_desk(context) as desk:
        found = _read(desk, order, purpose="orders show" if reveal else None)
    if as_json:
        show_json(found)
        return
    show_order_parts(found)


@app.command("hold")
def hold_order(context: typer.Context, order: Order, reason: Reason) -> None:
    """Keep an order from being shipped until you release it."""
    from oms_sync.flows.commands.orders import hold

    with open_desk(context) as desk:
        hold(command_context(desk), desk.reports.resolve_order(order), reason=reason)
    say(f"{order} is held")


@app.command("release")
def release_order(context: typer.Context, order: Order, reason: Reason = "") -> None:
    """Take your hold off an order, or say no to a buyer who asks to cancel; others stay, named."""
    from oms_sync.flows.commands.orders import release

    with open_desk(context) as desk:
        released = release(command_context(desk), desk.reports.resolve_order(order), reason=reason)
    if released.is_declined:
        whom = "the channel is told" if released.is_told else "answer the buyer at the channel, too"
        note(f"the buyer's wish to cancel was declined; {whom}")
    say(f"{order} is {released.state}")
    for remaining in released.remaining:
        note(f"still held by {remaining}")


@app.command("import")
def import_file(context: typer.Context, file: ImportFile, skip_bad: SkipBad = False) -> None:
    """Take in orders from a CSV file, one row a line: by phone, by mail, B2B."""
    from oms_sync.flows.commands.order_files import import_orders

    with open_desk(context) as desk:
        done = import_orders(
            command_context(desk), read_file(file), file=str(file), skip_bad=skip_bad
        )
    show_faults(done.skipped)
    say(f"{done.orders} orders read, {done.accepted} new or changed")


@app.command("export")
def export_file(
    context: typer.Context,
    output: Output = None,
    state: State = None,
    account: Account = None,
    since: Since = None,
    reveal: Reveal = False,
) -> None:
    """Write orders as CSV, one row a line."""
    from oms_sync.flows.commands.order_files import export_orders

    with open_desk(context) as desk:
        found = desk.reports.orders(
            state=state.value if state else None,
            account=account,
            since=time_of(since, "--since"),
            sort=Sort.PLACED.value,
            limit=LIMIT_MAX,
        )
        if reveal:
            found = _reveal(desk, [order["id"] for order in found], purpose="orders export")
        write_text(export_orders(found, is_revealed=reveal), output)


@app.command("refetch")
def refetch_orders(
    context: typer.Context,
    orders: Annotated[
        list[str], typer.Argument(help="Hub ids, or account:channel_order_id, known or not.")
    ],
) -> None:
    """Have orders read again from their channel."""
    from oms_sync.flows.commands.orders import refetch

    with open_desk(context) as desk:
        count = refetch(command_context(desk), orders)
    say(f"{count} orders will be read again")


@app.command("slip")
def print_slips(
    context: typer.Context,
    orders: Annotated[list[str], typer.Argument(help="Hub ids, or account:channel_order_id.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PDF file to write.")],
    paper: Annotated[Paper, typer.Option("--paper", help="Size of the paper.")] = Paper.A4,
    font: Annotated[
        Path | None,
        typer.Option("--font", help="A TrueType font that has the letters of your buyers."),
    ] = None,
) -> None:
    """Write packing slips as PDF, a page or more an order; showing addresses is logged."""
    from oms_sync.cli.packing_slip import Slips, render_slips

    with open_desk(context) as desk:
        ids = [desk.reports.resolve_order(order) for order in orders]
        found = list(_reveal(desk, ids, purpose="packing slip"))
        slips: Slips = render_slips(found, paper=paper.value, font=font, at=desk.clock.now())
    write_file(output, slips.content)
    if slips.missing:
        note(
            f"no font here has these characters, they stand as codes: {slips.missing}; "
            "name one with --font FILE.ttf"
        )
    say(f"{len(found)} packing slips, {slips.pages} pages: {output}")


def ship(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    order: Order,
    carrier: Annotated[
        list[str],
        typer.Option("--carrier", help="Carrier code such as ups; once, or once per package."),
    ],
    tracking: Annotated[
        list[str] | None,
        typer.Option("--tracking", help="Tracking number; repeat it for several packages."),
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option("--line", help="SKU=QTY, repeatable; without it everything open is shipped."),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="The carrier's product, such as ups_ground.")
    ] = None,
    found: Annotated[
        bool,
        typer.Option("--found", help="Short units were found on the shelf: record that, too."),
    ] = False,
) -> None:
    """Ship an order or a part of it, in one or several packages; the channel is told."""
    from oms_sync.flows.commands.shipments import Dispatch
    from oms_sync.flows.commands.shipments import ship as ship_order

    dispatch = Dispatch(
        packages=packages_of(carrier, tracking or []),
        lines=line_units(line or []),
        service=service,
        is_found=found,
    )
    with open_desk(context) as desk:
        shipment = ship_order(command_context(desk), desk.reports.resolve_order(order), dispatch)
    units = sum(one.quantity for one in shipment.lines)
    say(f"shipment {shipment.shipment_id}: {units} units, {len(shipment.packages)} packages")


@shipments.command("import")
def import_shipments_file(
    context: typer.Context, file: ImportFile, skip_bad: SkipBad = False
) -> None:
    """Ship what a CSV file lists; importing it again ships nothing twice."""
    from oms_sync.flows.commands.shipment_files import import_shipments

    with open_desk(context) as desk:
        done = import_shipments(
            command_context(desk), read_file(file), file=str(file), skip_bad=skip_bad
        )
    show_faults(done.skipped)
    say(f"{len(done.made)} shipments made, {done.known} known already")


def packages_of(carriers: list[str], numbers: list[str]) -> "tuple[Package, ...]":
    """One package a tracking number, or a carrier; a usage error where they do not fit."""
    from oms_sync.domain.shipment import Package

    if any(not text.strip() for text in (*carriers, *numbers)):
        raise typer.BadParameter("--carrier and --tracking may not be empty")
    if not numbers:
        return tuple(Package(carrier=carrier.strip()) for carrier in carriers)
    if len(carriers) == 1:
        carriers = carriers * len(numbers)
    if len(carriers) != len(numbers):
        raise typer.BadParameter("give --carrier once, or once for every --tracking")
    return tuple(
        Package(carrier=carrier.strip(), tracking_number=number.strip())
        for carrier, number in zip(carriers, numbers, strict=True)
    )


def line_units(texts: list[str]) -> dict[str, int]:
    """Units by what follows `--line`; a usage error where it cannot be read."""
    lines: dict[str, int] = {}
    for text in texts:
        match = _LINE.fullmatch(text)
        if match is None or int(match["units"]) == 0:
            raise typer.BadParameter(f"--line {text!r}: write SKU=QTY, QTY at least 1")
        name = match["name"].strip()
        lines[name] = lines.get(name, 0) + int(match["units"])
    return lines


def _read(desk: "Desk", order: str, *, purpose: str | None) -> dict[str, Any]:
    """One order; with a purpose, revealed and logged."""
    from oms_sync.flows.commands.orders import record_reveal

    order_id = desk.reports.resolve_order(order)
    if purpose is not None:
        record_reveal(command_context(desk), [order_id], purpose=purpose)
    found: dict[str, Any] = desk.reports.order(order_id, reveal=purpose is not None)
    return found


def _reveal(desk: "Desk", order_ids: list[str], *, purpose: str) -> list[dict[str, Any]]:
    """Many orders with their personal data; logged before the first is read."""
    from oms_sync.flows.commands.orders import record_reveal

    record_reveal(command_context(desk), order_ids, purpose=purpose)
    with long_work("reading orders", total=len(order_ids)) as progress:
        return list(_each(desk, order_ids, progress))


def _each(
    desk: "Desk", order_ids: Iterable[str], progress: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    for count, order_id in enumerate(order_ids, start=1):
        yield desk.reports.order(order_id, reveal=True)
        progress(count)
