"""Append-only events."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy import text as sql

from oms_sync.domain.events import Event
from oms_sync.storage.columns import Instant, among, to_json
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables.hub import timeline

_ADD = insert(timeline)
_COUNT = (
    select(timeline.c.sku, func.count().label("events"))
    .where(
        sql("timeline.sku IS NOT NULL"),  # as the partial index spells it
        among(timeline.c.sku, "skus"),
        timeline.c.name == bindparam("event_name"),
        timeline.c.account == bindparam("account"),
        timeline.c.at >= bindparam("since", type_=Instant()),
    )
    .group_by(timeline.c.sku)
)


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

    def count(
        self, name: str, *, account: str, skus: Iterable[str], since: datetime
    ) -> dict[str, int]:
        asked = {"event_name": name, "account": account, "skus": list(skus), "since": since}
        return {row.sku: row.events for row in self._transaction.rows(_COUNT, asked)}
