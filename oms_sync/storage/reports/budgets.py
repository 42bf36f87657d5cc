"""What is left of each account's call budget, how long what waits will take it, the last calls."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, select, type_coerce
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
from oms_sync.storage.tables.listings import listings, stock_batches, stock_pushes
from oms_sync.storage.tables.orders import shipment_pushes

_MICROS = 1_000_000
_DAY = timedelta(days=1)
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
#: listings behind whose look waits until the orders of its time are read
_SETTLING = (
    select(
        listings.c.account,
        func.count().label("listings"),
        func.max(listings.c.looked_at).label("newest_at"),
    )
    .where(
        listings.c.look_quantity.is_not(None),
        listings.c.looked_at.is_not(None),
        listings.c.desired != listings.c.look_quantity - (listings.c.taken - listings.c.look_taken),
    )
    .group_by(listings.c.account)
)
_TOOK = type_coerce(stock_batches.c.settled_at, BigInteger) - type_coerce(
    stock_batches.c.sent_at, BigInteger
)
#: the largest push: how long it took from being stored to being answered for, and of how many
_LARGEST = (
    select(_TOOK.label("micros"), func.count().label("listings"))
    .select_from(stock_batches.join(stock_pushes, stock_pushes.c.batch_key == stock_batches.c.key))
    .where(
        stock_batches.c.account == bindparam("account"),
        stock_batches.c.settled_at.is_not(None),
        stock_batches.c.sent_at >= bindparam("since", type_=Instant()),
    )
    .group_by(stock_batches.c.key)
    .order_by(func.count().desc(), _TOOK)
    .limit(1)
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


def add_drains(
    transaction: Transaction,
    rows: Sequence[dict[str, Any]],
    *,
    now: datetime,
    settle_seconds: Mapping[str, float],
) -> list[Json]:
    """The accounts' rows with `drain_seconds`: until the budget lets out what waits now.

    What a change costs is what writes took in the last day over the changes they made. None where
    something waits and nothing was written yet, or where nothing goes out. A listing whose look
    waits for the orders of its time (`listings_settling`) goes out no earlier than they are read:
    `settle_seconds` after the look, by account. And every push takes what the largest of the day
    took beside its budget: a channel may be slow by itself.
    """
    published = _published(transaction)
    looks = {row.account: row for row in transaction.rows(_SETTLING)}
    costs: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for row in transaction.rows(_COSTS):
        costs[row.account][row.operation] = row
    found: list[Json] = []
    for row in rows:
        name = row["name"]
        pace = _pace(transaction, row, costs[name], published)
        seconds = _budget_seconds(row, pace)
        look = looks.get(name)
        if row["listings_behind"] and seconds is not None:
            settles = timedelta(seconds=settle_seconds.get(name, 0.0))
            waits = (look.newest_at + settles - now).total_seconds() if look is not None else 0.0
            slowness = _slowness(transaction, row, pace, since=now - _DAY)
            seconds = round(max(seconds, max(0.0, waits) + slowness), 1)
        settling = look.listings if look is not None else 0
        found.append({**row, "listings_settling": settling, "drain_seconds": seconds})
    return found


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


def _pace(
    transaction: Transaction,
    row: Mapping[str, Any],
    costs: Mapping[str, Any],
    rates: Mapping[tuple[str, str], float],
) -> dict[str, tuple[float, float]]:
    """What one change costs of each operation's budget, and how fast that flows in."""
    account = row["name"]
    if row["mode"] != "live" or not costs:
        return {}
    since = {"account": account, "since": min(cost.since for cost in costs.values())}
    changes = transaction.row(_PUSHED, since)[0] + transaction.row(_CONFIRMED, since)[0]
    if changes == 0:
        return {}
    return {
        name: (one.cost / changes, rates.get((account, name), 0.0)) for name, one in costs.items()
    }


def _budget_seconds(
    row: Mapping[str, Any], pace: Mapping[str, tuple[float, float]]
) -> float | None:
    waiting = row["listings_behind"] + row["shipments_behind"]
    if waiting == 0:
        return 0.0
    if not pace:
        return None
    seconds = 0.0
    for budget in row["rate_budget"]:
        cost, rate = pace.get(budget["operation"], (0.0, 0.0))
        missing = waiting * cost - budget["available"] if cost else 0.0
        if missing > 0 and rate <= 0:
            return None
        seconds = max(seconds, missing / rate if missing > 0 else 0.0)
    return round(seconds, 1)


def _slowness(
    transaction: Transaction,
    row: Mapping[str, Any],
    pace: Mapping[str, tuple[float, float]],
    *,
    since: datetime,
) -> float:
    """What pushes like the largest will take beyond the time their budget takes to flow in."""
    largest = transaction.row(_LARGEST, {"account": row["name"], "since": since})
    if largest is None:
        return 0.0
    full = {one["operation"]: one["capacity"] for one in row["rate_budget"]}
    waited = max(
        (
            (largest.listings * cost - full.get(name, 0.0)) / rate
            for name, (cost, rate) in pace.items()
            if rate > 0
        ),
        default=0.0,
    )
    each = max(0.0, float(largest.micros) / _MICROS - max(0.0, waited))
    pushes: int = ceil(row["listings_behind"] / largest.listings)
    return each * pushes
