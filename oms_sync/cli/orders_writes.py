"""`oms-sync orders cancel`, `orders refund`, `shipments correct`: what a channel shall change."""

from typing import Annotated

import typer

from oms_sync.cli.desk import command_context, open_desk
from oms_sync.cli.orders import Order, line_units, packages_of
from oms_sync.cli.output import note, say
from oms_sync.domain.write_back import WriteReason

Lines = Annotated[
    list[str] | None,
    typer.Option("--line", help="SKU=QTY, repeatable; without it the order as a whole."),
]
Note = Annotated[
    str, typer.Option("--note", help="A few words for the channel, where it has them.")
]


def add_to(orders: typer.Typer, shipments: typer.Typer) -> None:
    """Put the commands into their groups."""
    orders.command("cancel")(cancel_order)
    orders.command("refund")(refund_order)
    shipments.command("correct")(correct_shipment)


def cancel_order(
    context: typer.Context,
    order: Order,
    line: Lines = None,
    reason: Annotated[WriteReason, typer.Option("--reason", help="Why, in one word.")] = "other",
    is_restocked: Annotated[
        bool,
        typer.Option(
            "--restock/--no-restock", help="The channel puts the units back on sale, or does not."
        ),
    ] = True,
    text: Note = "",
) -> None:
    """Cancel an order or a part of it at its channel; until that shows it nothing of it ships."""
    from oms_sync.flows.commands.write_backs import Cancellation, cancel

    wanted = Cancellation(
        lines=line_units(line or []), reason=reason, is_restocked=is_restocked, note=text
    )
    with open_desk(context) as desk:
        write = cancel(command_context(desk), desk.reports.resolve_order(order), wanted)
    units = sum(write.wish.lines.values())
    say(f"{units} units of {order} are being cancelled; the order is held meanwhile")
    note("`oms-sync orders show` says how far the channel is")


def refund_order(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    order: Order,
    reason: Annotated[WriteReason, typer.Option("--reason", help="Why, in one word.")],
    line: Lines = None,
    amount: Annotated[
        str | None,
        typer.Option(
            "--amount", help="Everything that goes back; else the price of the lines, or all left."
        ),
    ] = None,
    shipping: Annotated[
        str | None, typer.Option("--shipping", help="The part of it that is for shipping.")
    ] = None,
    is_restocked: Annotated[
        bool, typer.Option("--restock", help="The channel puts the units back on sale.")
    ] = False,
    text: Note = "",
) -> None:
    """Send money back for an order, its lines or its shipping; never more than was paid."""
    from oms_sync.flows.commands.write_backs import Refund, refund

    wanted = Refund(
        lines=line_units(line or []),
        amount=amount,
        shipping=shipping,
        reason=reason,
        is_restocked=is_restocked,
        note=text,
    )
    with open_desk(context) as desk:
        write = refund(command_context(desk), desk.reports.resolve_order(order), wanted)
    given = write.wish.amount
    money = f"{given.text()} {given.currency}" if given else "money"
    say(f"{money} of {order} shall go back")
    note("`oms-sync orders show` says how far the channel is")


def correct_shipment(
    context: typer.Context,
    shipment: Annotated[str, typer.Argument(help="The shipment's id, see `orders show`.")],
    carrier: Annotated[
        list[str],
        typer.Option("--carrier", help="Carrier code such as ups; once, or once per package."),
    ],
    tracking: Annotated[
        list[str] | None,
        typer.Option("--tracking", help="Tracking number; repeat it for several packages."),
    ] = None,
) -> None:
    """Give a shipment other packages, here and at its channel."""
    from oms_sync.flows.commands.write_backs import correct

    with open_desk(context) as desk:
        corrected = correct(command_context(desk), shipment, packages_of(carrier, tracking or []))
    say(f"shipment {shipment}: {len(corrected.packages)} packages")
