"""Messages that came in and dead letters; their bytes only when revealed."""

from sqlalchemy import bindparam, select
from sqlalchemy import text as sql

from oms_sync.storage.connections import Transaction
from oms_sync.storage.crypto import KeyRing
from oms_sync.storage.errors import NotFound
from oms_sync.storage.inbox import read_message
from oms_sync.storage.reports.shapes import Json, when
from oms_sync.storage.tables.inbox import inbox_messages

_ALL = select(inbox_messages)
_ONE = _ALL.where(inbox_messages.c.message_id == bindparam("message_id"))


def message_rows(
    transaction: Transaction, *, state: str | None, account: str | None, limit: int
) -> list[Json]:
    """Messages, newest first."""
    query = _ALL.limit(limit).order_by(
        inbox_messages.c.received_at.desc(), inbox_messages.c.message_id.desc()
    )
    if state is not None:
        query = query.where(inbox_messages.c.state == state)
    if account is not None:
        query = query.where(inbox_messages.c.account == account)
    return [_message(row) for row in transaction.rows(query)]


def dead_letter_rows(transaction: Transaction, *, account: str | None, limit: int) -> list[Json]:
    """Dead letters, the oldest first."""
    query = (
        _ALL.where(sql("inbox_messages.state = 'dead'"))
        .order_by(inbox_messages.c.received_at, inbox_messages.c.message_id)
        .limit(limit)
    )
    if account is not None:
        query = query.where(inbox_messages.c.account == account)
    return [_message(row) for row in transaction.rows(query)]


def message(transaction: Transaction, keys: KeyRing, message_id: str, *, is_revealed: bool) -> Json:
    """One message; with its headers and its body as text when revealed."""
    row = transaction.row(_ONE, {"message_id": message_id})
    if row is None:
        raise NotFound(f"there is no message {message_id!r}; see `oms-sync inbox list`")
    shown = _message(row)
    if not is_revealed:
        return shown
    if row.data_key is None:
        return {**shown, "headers": {}, "body": None}
    opened = read_message(keys, row)
    body = opened.body.decode("utf-8", "backslashreplace")
    return {**shown, "headers": dict(opened.headers), "body": body}


def _message(row: object) -> Json:
    columns = row._mapping  # type: ignore[attr-defined]
    return {
        "id": columns["message_id"],
        "account": columns["account"],
        "topic": columns["topic"],
        "source": columns["source"],
        "channel_order_id": columns["channel_order_id"],
        "order_id": columns["order_id"],
        "received_at": when(columns["received_at"]),
        "state": columns["state"],
        "reason": columns["reason"] or None,
        "settled_at": when(columns["settled_at"]),
        "attempts": columns["attempts"],
        "bytes": len(columns["sealed"]),
    }
