"""Call budgets shared through the database, and the last calls to each channel.

On PostgreSQL the rows are the truth and time is the server's, one clock for every process. On
SQLite processes keep budgets in memory and tell here what they took.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, literal_column, select, text

from oms_sync.flows.budgets import CALLS_MAX, BudgetClaim, BudgetRecord, WriteCost
from oms_sync.sdk import Call, Clock
from oms_sync.storage import locks
from oms_sync.storage.columns import Instant, among, from_micros, to_json, to_micros
from oms_sync.storage.connections import Database, Transaction
from oms_sync.storage.tables.budgets import (
    budget_owners,
    channel_calls,
    rate_buckets,
    write_costs,
)
from oms_sync.storage.writing import insert_or_ignore, insert_or_update

#: how long it is known what writes cost
COST_HOURS_MAX: Final = 24
_MICROS: Final = 1_000_000

Decide = Callable[[Mapping[str, BudgetRecord], datetime], Iterable[BudgetRecord]]

_OF_OWNER = select(rate_buckets).where(rate_buckets.c.owner == bindparam("owner"))
_ALL = locks.budgets_in_order(_OF_OWNER)
_SOME = locks.budgets_in_order(_OF_OWNER.where(among(rate_buckets.c.operation, "operations")))
#: the last moments of a budget need not survive a power cut, and waiting for the disk is dear
_LAZILY = text("SET LOCAL synchronous_commit = off")
_NOW = select(func.clock_timestamp().label("now"))
_PUT = insert_or_update(
    rate_buckets, [one.name for one in rate_buckets.c if one.name not in ("owner", "operation")]
)
_PUT_OWNER = insert_or_update(budget_owners, ("owner",))
_ADD_COST = insert_or_update(
    write_costs, (), cost=write_costs.c.cost + literal_column("excluded.cost")
)
_FORGET_COSTS = delete(write_costs).where(write_costs.c.hour < bindparam("before", type_=Instant()))
_ADD_CALLS = insert_or_ignore(channel_calls)
_OLDEST_KEPT = (
    select(channel_calls.c.call)
    .where(channel_calls.c.account == bindparam("b_account"))
    .order_by(channel_calls.c.call.desc())
    .offset(CALLS_MAX)
    .limit(1)
)
_FORGET_CALLS = delete(channel_calls).where(
    channel_calls.c.account == bindparam("b_account"),
    channel_calls.c.call <= _OLDEST_KEPT.scalar_subquery(),
)


class CallBudgets:
    """Implements the runtime's port `BudgetStore`."""

    def __init__(
        self, database: Database, clock: Clock, *, now: Callable[[], datetime] | None = None
    ) -> None:
        self._database, self._clock = database, clock
        #: told in place of the server's clock
        self._told_now = now

    @property
    def is_exact(self) -> bool:
        """PostgreSQL's rows are locked one by one; SQLite's one writer has better things to do."""
        return self._database.is_postgres

    def change(self, owner: str, operations: Sequence[str] | None, decide: Decide) -> None:
        """Lock the owner's records, None for all, decide, store: one short transaction."""
        with self._database.write() as transaction:
            if transaction.is_postgres:
                transaction.run(_LAZILY)
            parameters: dict[str, Any] = {"owner": owner}
            if operations is not None:
                parameters["operations"] = list(operations)
            rows = transaction.rows(_ALL if operations is None else _SOME, parameters)
            found = {row.operation: _read(row) for row in rows}
            # The clock is read under the lock: nobody's time comes before his who went first.
            changed = list(decide(found, self._now(transaction)))
            if not changed:
                return
            _PUT.run(transaction, [_row(owner, record) for record in changed])
            transaction.commit()

    def note(
        self,
        *,
        owners: Mapping[str, str],
        costs: Sequence[WriteCost],
        calls: Mapping[str, Sequence[Call]],
    ) -> None:
        """Remember whose budget each account takes from, what writes cost, and the last calls."""
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        with self._database.write() as transaction:
            if transaction.is_postgres:
                transaction.run(_LAZILY)
            fresh = [{"account": one, "owner": owner} for one, owner in sorted(owners.items())]
            _PUT_OWNER.run(transaction, fresh)
            if costs:
                _ADD_COST.run(transaction, [_cost_row(cost, hour) for cost in _ordered(costs)])
                transaction.run(_FORGET_COSTS, {"before": hour - timedelta(hours=COST_HOURS_MAX)})
            for account, listed in sorted(calls.items()):
                _ADD_CALLS.run(transaction, [_call_row(account, call) for call in listed])
                transaction.run(_FORGET_CALLS, {"b_account": account})
            transaction.commit()

    def _now(self, transaction: Transaction) -> datetime:
        if self._told_now is not None:
            return self._told_now()
        if not transaction.is_postgres:
            return self._clock.now()
        now: datetime = transaction.row(_NOW).now
        return now.astimezone(UTC)


def _ordered(costs: Sequence[WriteCost]) -> list[WriteCost]:
    """Two processes write the same rows in the same order."""
    return sorted(costs, key=lambda one: (one.account, one.operation))


def _cost_row(cost: WriteCost, hour: datetime) -> dict[str, Any]:
    return {
        "account": cost.account,
        "operation": cost.operation,
        "hour": hour,
        "cost": cost.cost,
    }


def _call_row(account: str, call: Call) -> dict[str, Any]:
    return {
        "account": account,
        "at": call.at,
        "operation": call.operation,
        "duration_micros": round(call.duration_seconds * _MICROS),
        "cost": float(call.cost),
        "status": call.status,
        "request_id": call.request_id,
    }


def _row(owner: str, record: BudgetRecord) -> dict[str, Any]:
    claims = [
        [one.node, one.priority, to_micros(one.since), one.cost, to_micros(one.until)]
        for one in record.claims
    ]
    return {
        "owner": owner,
        "operation": record.operation,
        "capacity": record.capacity,
        "refill_per_second": record.refill_per_second,
        "available": record.available,
        "at": record.at,
        "spent": record.spent,
        "published_capacity": record.published_capacity,
        "published_refill": record.published_refill,
        "learnt_at": record.learnt_at,
        "claims": to_json(claims),
    }


def _read(row: Any) -> BudgetRecord:
    claims = tuple(
        BudgetClaim(
            node=node,
            priority=priority,
            since=from_micros(since),
            cost=cost,
            until=from_micros(until),
        )
        for node, priority, since, cost, until in json.loads(row.claims)
    )
    return BudgetRecord(
        operation=row.operation,
        capacity=row.capacity,
        refill_per_second=row.refill_per_second,
        available=row.available,
        at=row.at,
        spent=row.spent,
        published_capacity=row.published_capacity,
        published_refill=row.published_refill,
        learnt_at=row.learnt_at,
        claims=claims,
    )
