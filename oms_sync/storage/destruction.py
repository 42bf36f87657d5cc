"""Bytes of messages that are destroyed, with the keys that open them; the rows stay."""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, select, text, union, update

from oms_sync.storage import locks
from oms_sync.storage.columns import among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.order_statements import IS_ALIVE
from oms_sync.storage.tables.inbox import inbox_messages
from oms_sync.storage.tables.orders import order_names, orders

#: no bytes of a message that waits are destroyed, not even of one replayed this moment
_DESTROY = (
    update(inbox_messages)
    .where(among(inbox_messages.c.message_id, "message_ids"), inbox_messages.c.state != "new")
    .values(data_key=None, sealed=b"", subject_id=None)
)
_NAME = (
    update(inbox_messages)
    .where(inbox_messages.c.message_id == bindparam("b_message_id"))
    .values(channel_order_id=bindparam("b_channel_order_id"))
)
#: the orders that answer to these channel order ids
_CALLED = union(
    select(orders.c.channel_order_id, orders.c.order_id).where(
        orders.c.account == bindparam("account"),
        among(orders.c.channel_order_id, "channel_ids"),
        IS_ALIVE,
    ),
    select(order_names.c.channel_order_id, order_names.c.order_id).where(
        order_names.c.account == bindparam("account"),
        among(order_names.c.channel_order_id, "channel_ids"),
    ),
)
#: whoever erases one of them this moment is waited for, or comes later and finds the names
_LOCK_ORDERS = locks.orders_in_order(
    select(orders.c.order_id, orders.c.erased_at).where(among(orders.c.order_id, "order_ids"))
)
_DROP_DEAD = (
    update(inbox_messages)
    .where(
        among(inbox_messages.c.message_id, "message_ids"),
        text("inbox_messages.state = 'dead'"),
    )
    .values(state="dropped", reason=bindparam("b_reason"))
)


def destroy_messages(transaction: Transaction, message_ids: Sequence[str]) -> None:
    """Destroy the bytes of these messages, unless they wait."""
    if message_ids:
        transaction.run(_DESTROY, {"message_ids": list(message_ids)})


def drop_dead(transaction: Transaction, message_ids: Sequence[str], reason: str) -> None:
    """Close those of these messages that are dead letters, with a reason that quotes nothing."""
    if message_ids:
        transaction.run(_DROP_DEAD, {"message_ids": list(message_ids), "b_reason": reason})


def name_orders(transaction: Transaction, account: str, named: Mapping[str, str]) -> None:
    """Note which channel order each message is about; of an erased one its bytes go at once."""
    if not named:
        return
    rows = [
        {"b_message_id": message_id, "b_channel_order_id": channel_order_id}
        for message_id, channel_order_id in named.items()
    ]
    transaction.run_many(_NAME, rows)
    asked = {"account": account, "channel_ids": sorted(set(named.values()))}
    owners = {row.channel_order_id: row.order_id for row in transaction.rows(_CALLED, asked)}
    if not owners:
        return
    locked = transaction.rows(_LOCK_ORDERS, {"order_ids": sorted(set(owners.values()))})
    erased = {row.order_id for row in locked if row.erased_at is not None}
    destroy_messages(
        transaction, [one for one, name in named.items() if owners.get(name) in erased]
    )
