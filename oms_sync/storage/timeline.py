"""Append-only events."""

from collections.abc import Sequence

from sqlalchemy import insert

from oms_sync.domain.events import Event
from oms_sync.storage.columns import to_json
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.hub import timeline

_ADD = insert(timeline)


class Timeline:
    """Implements the flows' port `Timeline`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, events: Sequence[Event]) -> None:
        self._transaction.run_many(
            _ADD,
            [
                {
                    "name": one.name,
                    "at": one.at,
                    "actor": one.actor,
                    "order_id": one.order_id,
                    "sku": one.sku,
                    "account": one.account,
                    "detail": to_json(dict(one.detail)),
                }
                for one in events
            ],
        )
