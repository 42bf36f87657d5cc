"""What is left of each account's call budget, how long what waits will take it, the last calls."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy import text as sql

from oms_sync.storage.columns import Instant
from oms_sync.storage.connections import Transaction
from oms_sync.storage.reports.shapes import Json, when
from oms_sync.storage.tables.budgets import (
    budget_owners,
    channel_calls,
    rate_buckets,
    write_costs,
)
from oms_sync.storage.tables.listings import stock_batches, stock_pushes
from oms_sync.storage.tables.orders import shipment_pushes

_MICROS = 1_000_000
_BUDGETS = (
    select(budget_owners.c.account, rate_buckets)
    .join(rate_buckets, rate_buckets.c.owner == budget_owners.c.owner)
    .order_by(budget_owners.c.account, rate_buckets.c.operation)
)
_OWNERS = select(budget_owners).order_by(budget_owners.c.account)
_COSTS = select(
    write_costs.c.account,
    write_costs.c.operation,
    func.sum(write_costs.c.cost).label("cost"),
    func.min(write_costs.c.hour).label("since"),
).group_by(write_costs.c.account, write_costs.c.operation)
_PUSHED = (
    select(func.count())
    .select_from(stock_pushes.join(stock_batches, stock_batches.c.key == stock_pushes.c.batch_key))
    .where(
        stock_batches.c.account == bindparam("account"),
        stock_batches.c.sent_at >= bindparam("since", type_=Instant()),
        sql("stock_pushes.outcome IN ('applied', 'accepted')"),
    )
)
_CONFIRMED = (
    select(func.count())
    .select_from(shipment_pushes)
    .where(
        shipment_pushes.c.account == bindparam("account"),
        shipment_pushes.c.confirmed_at >= bindparam("since", type_=Instant()),
    )
)
_CALLS = (
    select(channel_calls)
    .where(channel_calls.c.account == bindparam("account"))
    .order_by(channel_calls.c.at.desc(), channel_calls.c.call.desc())
    .limit(bindparam("most"))
)


def budgets_by_account(transaction: Transaction, now: datetime) -> dict[str, list[Json]]:
    """Each account's budget, an entry an operation, as it is now."""
    found: defaultdict[str, list[Json]] = defaultdict(list)
    for row in transaction.rows(_BUDGETS):
        gained = max(0.0, (now - row.at).total_seconds()) * row.refill_per_second
        found[row.account].append(
            {
                "operation": row.operation,
                "available": round(min(row.capacity, row.available + gained), 1),
                "capacity": row.capacity,
                "refill_per_second": row.refill_per_second,
                "at": when(row.at),
            }
        )
    return found


def sharing(transaction: Transaction) -> dict[str, list[str]]:
    """Of each account, the others that take from the same budget."""
    by_owner: defaultdict[str, list[str]] = defaultdict(list)
    owners = {row.account: row.owner for row in transaction.rows(_OWNERS)}
    for account, owner in owners.items():
        by_owner[owner].append(account)
    return {
        account: [other for other in by_owner[owner] if other != account]
        for account, owner in owners.items()
    }


def add_drains(transaction: Transaction, rows: Sequence[dict[str, Any]]) -> list[Json]:
    """The accounts' rows with `drain_seconds`: until the budget lets out what waits now.

    What a change costs is what writes took in the last day over the changes they made. None where
    something waits and nothing was written yet, or where nothing goes out.
    """
    published = _published(transaction)
    costs: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for row in transaction.rows(_COSTS):
        costs[row.account][row.operation] = row
    return [
        {**row, "drain_seconds": _drain(transaction, row, costs[row["name"]], published)}
        for row in rows
    ]


def call_rows(transaction: Transaction, account: str, *, most: int) -> list[Json]:
    """The last calls to the account's channel, newest first."""
    return [
        {
            "at": when(row.at),
            "operation": row.operation,
            "status": row.status,
            "cost": row.cost,
            "duration_seconds": row.duration_micros / _MICROS,
            "request_id": row.request_id,
        }
        for row in transaction.rows(_CALLS, {"account": account, "most": most})
    ]


def _published(transaction: Transaction) -> dict[tuple[str, str], float]:
    """The rate a day's quota has on average, where the channel says that nothing flows in now."""
    return {
        (row.account, row.operation): row.refill_per_second or row.published_refill or 0.0
        for row in transaction.rows(_BUDGETS)
    }


def _drain(
    transaction: Transaction,
    row: Mapping[str, Any],
    costs: Mapping[str, Any],
    rates: Mapping[tuple[str, str], float],
) -> float | None:
    account, waiting = row["name"], row["listings_behind"] + row["shipments_behind"]
    if waiting == 0:
        return 0.0
    if row["mode"] != "live" or not costs:
        return None
    since = {"account": account, "since": min(cost.since for cost in costs.values())}
    changes = transaction.row(_PUSHED, since)[0] + transaction.row(_CONFIRMED, since)[0]
    if changes == 0:
        return None
    seconds = 0.0
    for budget in row["rate_budget"]:
        operation = budget["operation"]
        if operation not in costs:
            continue
        missing = waiting * costs[operation].cost / changes - budget["available"]
        rate = rates[account, operation]
        if missing > 0 and rate <= 0:
            return None
        seconds = max(seconds, missing / rate if missing > 0 else 0.0)
    return round(seconds, 1)
