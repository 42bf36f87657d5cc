"""Stock batches: stored before sending, answered for afterwards; nothing here is ever edited but
the count of attempts and the time of settling.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from oms_sync.flows.records import PushRecord, StoredBatch
from oms_sync.sdk import Clock, StockBatch, StockPush
from oms_sync.storage.columns import to_json
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.listings import stock_batches, stock_pushes

_ADD = insert(stock_batches)
_OPEN = (
    select(stock_batches)
    .where(stock_batches.c.account == bindparam("account"), stock_batches.c.settled_at.is_(None))
    .order_by(stock_batches.c.sent_at, stock_batches.c.key)
)
_RETRY = (
    update(stock_batches)
    .where(stock_batches.c.key == bindparam("b_key"))
    .values(attempts=stock_batches.c.attempts + 1)
)
_ENTRIES = select(stock_batches.c.entries).where(stock_batches.c.key == bindparam("key"))
_SETTLE = (
    update(stock_batches)
    .where(stock_batches.c.key == bindparam("b_key"))
    .values(settled_at=bindparam("b_at"))
)
_RECORD = insert(stock_pushes)


class Outbox:
    """Implements the flows' port `Outbox`."""

    __slots__ = ("_clock", "_transaction")

    def __init__(self, transaction: Transaction, clock: Clock) -> None:
        self._transaction = transaction
        self._clock = clock

    def add(self, batch: StoredBatch) -> None:
        entries = [
            [one.channel_listing_id, one.channel_sku, one.quantity, one.expected]
            for one in batch.batch.entries
        ]
        row = {
            "key": batch.batch.key,
            "account": batch.account,
            "entries": to_json(entries),
            "sent_at": batch.sent_at,
            "attempts": batch.attempts,
            "settled_at": None,
        }
        self._transaction.run_many(_ADD, [row])

    def open_batches(self, account: str) -> list[StoredBatch]:
        return [_read(row) for row in self._transaction.rows(_OPEN, {"account": account})]

    def retry(self, key: str) -> None:
        self._transaction.run(_RETRY, {"b_key": key})

    def settle(self, key: str, records: Sequence[PushRecord]) -> None:
        row = self._transaction.row(_ENTRIES, {"key": key})
        quantities = {entry[0]: entry[2] for entry in json.loads(row.entries)} if row else {}
        now: datetime = self._clock.now()
        self._transaction.run(_SETTLE, {"b_key": key, "b_at": now})
        self._transaction.run_many(
            _RECORD,
            [
                {
                    "batch_key": record.batch_key,
                    "channel_listing_id": record.channel_listing_id,
                    "quantity": quantities.get(record.channel_listing_id),
                    "outcome": record.outcome,
                    "at": record.at,
                    "reason": record.reason,
                }
                for record in records
            ],
        )


def _read(row: Any) -> StoredBatch:
    return StoredBatch(
        account=row.account,
        batch=StockBatch(
            key=row.key,
            entries=tuple(
                StockPush(
                    channel_listing_id=listing, channel_sku=sku, quantity=units, expected=expected
                )
                for listing, sku, units, expected in json.loads(row.entries)
            ),
        ),
        sent_at=row.sent_at,
        attempts=row.attempts,
    )
