"""What a hand in the database left of an order whose row it deleted: lines, reservations, names.

They would keep units reserved for nobody, and the order from coming in again.
"""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, union

from oms_sync.flows.proofs import Remains
from oms_sync.storage.columns import among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.inbox import inbox_messages
from oms_sync.storage.tables.orders import order_lines, order_names, orders, reservations

_IDS = union(
    select(inbox_messages.c.order_id).where(
        inbox_messages.c.account == bindparam("account"),
        among(inbox_messages.c.channel_order_id, "channel_ids"),
        inbox_messages.c.order_id.is_not(None),
    ),
    select(order_names.c.order_id).where(
        order_names.c.account == bindparam("account"),
        among(order_names.c.channel_order_id, "channel_ids"),
    ),
)
_ALIVE = select(orders.c.order_id).where(among(orders.c.order_id, "order_ids"))
_HELD = (
    select(
        order_lines.c.order_id,
        reservations.c.sku,
        reservations.c.location,
        reservations.c.units,
    )
    .join(order_lines, order_lines.c.line_id == reservations.c.line_id)
    .where(among(order_lines.c.order_id, "order_ids"))
)
_CLEAR = (
    delete(reservations).where(
        reservations.c.line_id.in_(
            select(order_lines.c.line_id).where(among(order_lines.c.order_id, "order_ids"))
        )
    ),
    delete(order_lines).where(among(order_lines.c.order_id, "order_ids")),
    delete(order_names).where(among(order_names.c.order_id, "order_ids")),
)


def find_remains(
    transaction: Transaction, account: str, channel_order_ids: Sequence[str]
) -> list[Remains]:
    """Of these orders, known once and now without a row: what is still reserved for each."""
    asked = {"account": account, "channel_ids": list(channel_order_ids)}
    known = sorted(row.order_id for row in transaction.rows(_IDS, asked))
    alive = {row.order_id for row in transaction.rows(_ALIVE, {"order_ids": known})}
    dead = [one for one in known if one not in alive]
    held: dict[str, dict[tuple[str, str], int]] = {one: {} for one in dead}
    for row in transaction.rows(_HELD, {"order_ids": dead}) if dead else ():
        place = (row.sku, row.location)
        held[row.order_id][place] = held[row.order_id].get(place, 0) + row.units
    return [Remains(order_id=one, held=held[one]) for one in dead]


def clear_remains(transaction: Transaction, order_ids: Sequence[str]) -> None:
    """Delete lines, reservations and names of orders that have no row."""
    for statement in _CLEAR if order_ids else ():
        transaction.run(statement, {"order_ids": list(order_ids)})
