"""`oms-sync orders erase`: somebody asked to be forgotten."""

from typing import Annotated

import typer

from oms_sync.cli.desk import command_context, open_desk
from oms_sync.cli.orders import Reason
from oms_sync.cli.output import note, say

Orders = Annotated[list[str], typer.Argument(help="Hub ids, or account:channel_order_id.")]


def add_to(orders: typer.Typer) -> None:
    """Put the command into its group."""
    orders.command("erase")(erase_orders)


def erase_orders(context: typer.Context, orders: Orders, reason: Reason) -> None:
    """Destroy the personal data and the raw messages of finished orders, now and for good."""
    from oms_sync.flows.commands.erasing import erase

    with open_desk(context) as desk:
        ids = {desk.reports.resolve_order(order): order for order in orders}
        erased = erase(command_context(desk), ids, reason=reason)
    for order, at in erased.before.items():
        note(f"{order} was erased on {at:%Y-%m-%d} already")
    say(f"{erased.orders} orders erased, with {erased.messages} messages about them")
