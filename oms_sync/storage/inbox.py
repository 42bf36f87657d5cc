"""Messages that came in, each encrypted with a data key of its own; equal hints collapse."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, null, select, text, update

from oms_sync.flows.records import InboxMessage, MessageSource, NewMessage
from oms_sync.sdk import Clock, Ids
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant, among
from oms_sync.storage.connections import Parameters, Transaction
from oms_sync.storage.crypto import KeyRing, seal_with, unseal_with
from oms_sync.storage.destruction import destroy_messages
from oms_sync.storage.tables.inbox import inbox_messages
from oms_sync.storage.tables.orders import orders
from oms_sync.storage.writing import insert_or_ignore

HEADERS_LENGTH_BYTES = 4
#: ways in that show the same bytes again and again unasked
_UNASKED = (MessageSource.POLL, MessageSource.NOTIFICATION)
_REPEATED = (*_UNASKED, MessageSource.READ)
#: spelled as the partial indexes spell it
_NEW = text("inbox_messages.state = 'new'")
_ADD = insert_or_ignore(inbox_messages)
#: the payload merged last, of orders none of whose messages wait
_MERGED = (
    select(orders.c.channel_order_id, orders.c.payload_key)
    .where(
        orders.c.account == bindparam("account"),
        among(orders.c.channel_order_id, "channel_ids"),
        text("orders.merged_into IS NULL"),  # as the partial index spells it
    )
    .where(
        ~select(inbox_messages.c.message_id)
        .where(
            inbox_messages.c.account == orders.c.account,
            inbox_messages.c.channel_order_id == orders.c.channel_order_id,
            _NEW,
        )
        .exists()
    )
)
#: order payloads nobody could use: shown again, they are no news
_CLOSED_ORDERS = select(inbox_messages.c.dedupe_key, inbox_messages.c.state).where(
    text("inbox_messages.state IN ('dead', 'dropped')"),  # as the partial index spells it
    inbox_messages.c.source != "webhook",
    among(inbox_messages.c.dedupe_key, "dedupe_keys"),
)
MESSAGE_COLUMNS = (
    inbox_messages.c.message_id,
    inbox_messages.c.account,
    inbox_messages.c.topic,
    inbox_messages.c.source,
    inbox_messages.c.channel_order_id,
    inbox_messages.c.received_at,
    inbox_messages.c.dedupe_key,
    inbox_messages.c.attempts,
    inbox_messages.c.data_key,
    inbox_messages.c.sealed,
)
_LOCK_NEW = locks.oldest_messages(
    select(*MESSAGE_COLUMNS)
    .where(
        inbox_messages.c.account == bindparam("account"),
        among(inbox_messages.c.source, "sources"),
        _NEW,
    )
    .limit(bindparam("limit"))
)
_SUBJECTS = select(orders.c.order_id, orders.c.subject_id, orders.c.erased_at).where(
    among(orders.c.order_id, "order_ids")
)
_SETTLE = (
    update(inbox_messages)
    .where(inbox_messages.c.message_id == bindparam("b_message_id"))
    .values(
        state=bindparam("state"),
        reason="",
        settled_at=bindparam("settled_at"),
        order_id=bindparam("order_id"),
        subject_id=bindparam("subject_id"),
    )
)
_CLOSE = (
    update(inbox_messages)
    .where(among(inbox_messages.c.message_id, "message_ids"))
    .values(state=bindparam("b_state"), reason=bindparam("b_reason"), settled_at=bindparam("b_at"))
)
_DROP = locks.messages_by_id(
    select(inbox_messages.c.message_id, inbox_messages.c.account).where(
        among(inbox_messages.c.message_id, "message_ids"),
        text("inbox_messages.state IN ('new', 'dead')"),
    )
)
_CLOSED = locks.messages_by_id(
    select(
        inbox_messages.c.message_id,
        inbox_messages.c.account,
        inbox_messages.c.topic,
        inbox_messages.c.source,
        inbox_messages.c.dedupe_key,
        inbox_messages.c.state,
    ).where(
        among(inbox_messages.c.message_id, "message_ids"),
        inbox_messages.c.data_key.is_not(None),
    )
)
_WAITING_HINTS = select(
    inbox_messages.c.account, inbox_messages.c.topic, inbox_messages.c.dedupe_key
).where(
    among(inbox_messages.c.dedupe_key, "dedupe_keys"),
    inbox_messages.c.source == "webhook",
    _NEW,
)
_REOPEN = (
    update(inbox_messages)
    .where(among(inbox_messages.c.message_id, "message_ids"))
    .values(
        state="new",
        reason="",
        settled_at=None,
        attempts=0,
        # a hint names no order before it is read
        channel_order_id=case(
            (inbox_messages.c.source == "webhook", null()),
            else_=inbox_messages.c.channel_order_id,
        ),
    )
)
_HAS_NEW = (
    select(inbox_messages.c.message_id)
    .where(inbox_messages.c.account == bindparam("account"), _NEW)
    .limit(1)
)
_HAS_NEW_UNTIL = _HAS_NEW.where(inbox_messages.c.received_at <= bindparam("until", type_=Instant()))


def dedupe_key(keys: KeyRing, message: NewMessage) -> str:
    """Keyed hash of the plain bytes and of the object they are about."""
    about = f"{message.account}\0{message.topic}\0{message.channel_order_id or ''}\0"
    return keys.hash("dedupe", about.encode("utf-8", "surrogatepass") + message.body)


def read_message(keys: KeyRing, row: Any) -> InboxMessage:
    """The message of a row of MESSAGE_COLUMNS, decrypted."""
    about = f"message {row.message_id}"
    packed = unseal_with(keys.data_key(row.data_key, about), row.sealed, about)
    length = int.from_bytes(packed[:HEADERS_LENGTH_BYTES], "big")
    end = HEADERS_LENGTH_BYTES + length
    return InboxMessage(
        message_id=row.message_id,
        account=row.account,
        topic=row.topic,
        source=MessageSource(row.source),
        body=packed[end:],
        received_at=row.received_at,
        channel_order_id=row.channel_order_id,
        headers=json.loads(packed[HEADERS_LENGTH_BYTES:end]),
        dedupe_key=row.dedupe_key,
        attempts=row.attempts,
    )


class Inbox:
    """Implements the flows' port `Inbox`."""

    __slots__ = ("_clock", "_ids", "_keys", "_transaction")

    def __init__(self, transaction: Transaction, *, keys: KeyRing, clock: Clock, ids: Ids) -> None:
        self._transaction = transaction
        self._keys = keys
        self._clock = clock
        self._ids = ids

    def add(self, messages: Sequence[NewMessage]) -> int:
        keyed = [(message, dedupe_key(self._keys, message)) for message in messages]
        merged = self._merged(messages)
        closed = self._closed(keyed)
        fresh = [
            self._row(message, key)
            for message, key in keyed
            if merged.get((message.account, message.channel_order_id or "")) != key
            and (message.source, key) not in closed
        ]
        return _ADD.count_added(self._transaction, fresh)

    def lock_new(
        self, account: str, sources: Sequence[MessageSource], limit: int
    ) -> list[InboxMessage]:
        parameters = {
            "account": account,
            "sources": [str(source) for source in sources],
            "limit": limit,
        }
        rows = self._transaction.rows(_LOCK_NEW, parameters)
        return [read_message(self._keys, row) for row in rows]

    def settle(self, message_ids: Sequence[str], *, order_ids: Mapping[str, str]) -> None:
        rows: Sequence[Any] = ()
        if order_ids:
            parameters = {"order_ids": sorted(set(order_ids.values()))}
            rows = self._transaction.rows(_SUBJECTS, parameters)
        subjects = {row.order_id: row.subject_id for row in rows}
        erased = {row.order_id for row in rows if row.erased_at is not None}
        now = self._clock.now()
        batch = []
        for message_id in message_ids:
            order_id = order_ids.get(message_id)
            batch.append(
                {
                    "b_message_id": message_id,
                    "state": "done",
                    "settled_at": now,
                    "order_id": order_id,
                    "subject_id": subjects.get(order_id or ""),
                }
            )
        self._transaction.run_many(_SETTLE, batch)
        destroy_messages(
            self._transaction, [one for one in message_ids if order_ids.get(one) in erased]
        )

    def bury(self, message_id: str, reason: str, *, at: datetime) -> None:
        self._close([message_id], "dead", reason, at)

    def has_new(self, account: str, *, until: datetime | None = None) -> bool:
        if until is None:
            return self._transaction.row(_HAS_NEW, {"account": account}) is not None
        asked = {"account": account, "until": until}
        return self._transaction.row(_HAS_NEW_UNTIL, asked) is not None

    def reopen(self, message_ids: Sequence[str]) -> dict[str, str]:
        rows = self._transaction.rows(_CLOSED, {"message_ids": list(message_ids)})
        closed = [row for row in rows if row.state != "new"]
        keys = [row.dedupe_key for row in closed]
        waiting = {
            tuple(row) for row in self._transaction.rows(_WAITING_HINTS, {"dedupe_keys": keys})
        }
        reopening = []
        for row in closed:
            hint = (row.account, row.topic, row.dedupe_key)
            if row.source == MessageSource.WEBHOOK and hint in waiting:
                continue  # an equal hint waits already: that one is worked off
            if row.source == MessageSource.WEBHOOK:
                waiting.add(hint)
            reopening.append(row.message_id)
        if reopening:
            self._transaction.run(_REOPEN, {"message_ids": reopening})
        return {row.message_id: row.account for row in rows if row.state != "new"}

    def drop(self, message_ids: Sequence[str], reason: str, *, at: datetime) -> dict[str, str]:
        rows = self._transaction.rows(_DROP, {"message_ids": list(message_ids)})
        dropped = {row.message_id: row.account for row in rows}
        self._close(list(dropped), "dropped", reason, at)
        return dropped

    def _close(self, message_ids: Sequence[str], state: str, reason: str, at: datetime) -> None:
        parameters = {
            "message_ids": list(message_ids),
            "b_state": state,
            "b_reason": reason,
            "b_at": at,
        }
        self._transaction.run(_CLOSE, parameters)

    def _merged(self, messages: Sequence[NewMessage]) -> dict[tuple[str, str], str]:
        """Keys of payloads merged last, by account and channel order id."""
        wanted: dict[str, list[str]] = {}
        for message in messages:
            if message.channel_order_id and message.source is not MessageSource.WEBHOOK:
                wanted.setdefault(message.account, []).append(message.channel_order_id)
        return {
            (account, channel_id): key
            for account, ids in wanted.items()
            for channel_id, key in self._transaction.rows(
                _MERGED, {"account": account, "channel_ids": ids}
            )
        }

    def _closed(self, keyed: Sequence[tuple[NewMessage, str]]) -> set[tuple[MessageSource, str]]:
        """What need not be stored again: dead letters, and dropped ones nobody asked for."""
        keys = [key for message, key in keyed if message.source in _REPEATED]
        rows = self._transaction.rows(_CLOSED_ORDERS, {"dedupe_keys": keys}) if keys else ()
        return {
            (source, row.dedupe_key)
            for row in rows
            for source in (_REPEATED if row.state == "dead" else _UNASKED)
        }

    def _row(self, message: NewMessage, key: str) -> Parameters:
        message_id = self._ids.new()
        about = f"message {message_id}"
        headers = json.dumps(dict(message.headers)).encode()
        packed = len(headers).to_bytes(HEADERS_LENGTH_BYTES, "big") + headers + message.body
        data_key, wrapped = self._keys.new_data_key(about)
        return {
            "message_id": message_id,
            "account": message.account,
            "topic": message.topic,
            "source": str(message.source),
            "channel_order_id": message.channel_order_id,
            "received_at": message.received_at,
            "dedupe_key": key,
            "state": "new",
            "reason": "",
            "settled_at": None,
            "attempts": 0,
            "order_id": None,
            "subject_id": None,
            "data_key": wrapped,
            "sealed": seal_with(data_key, packed, about),
        }
