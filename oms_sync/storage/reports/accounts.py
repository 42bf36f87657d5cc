"""Accounts with their health and lag, and the figures behind the metrics."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy import text as sql

from oms_sync.flows.records import AccountProfile, AccountRecord
from oms_sync.sdk import OrderFeed
from oms_sync.storage.connections import Transaction
from oms_sync.storage.cursors import read_account
from oms_sync.storage.errors import NotFound
from oms_sync.storage.order_statements import IS_ALIVE
from oms_sync.storage.policies import profiles_at
from oms_sync.storage.reports import budgets
from oms_sync.storage.reports.shapes import Json, when
from oms_sync.storage.reports.upkeep import nothing_known, upkeep_rows
from oms_sync.storage.tables.hub import accounts, feeds
from oms_sync.storage.tables.inbox import inbox_messages
from oms_sync.storage.tables.listings import listings
from oms_sync.storage.tables.orders import orders, shipment_pushes
from oms_sync.storage.tables.write_backs import write_backs

_RECORDS = select(accounts)
_FEEDS = select(feeds).where(feeds.c.feed == OrderFeed.CHANGES.value)
_LISTINGS = select(listings.c.account, func.count()).group_by(listings.c.account)
_BEHIND = (
    select(listings.c.account, func.count())
    .where(
        listings.c.sku.is_not(None),
        listings.c.desired.is_not(None),
        or_(
            listings.c.basis_quantity.is_(None),
            and_(
                listings.c.desired
                != listings.c.basis_quantity - (listings.c.taken - listings.c.basis_taken)
            ),
        ),
    )
    .group_by(listings.c.account)
)
_UNTOLD = (
    select(shipment_pushes.c.account, func.count())
    .where(sql("shipment_pushes.state IN ('waiting', 'sent')"))
    .group_by(shipment_pushes.c.account)
)
_UNDONE = (
    select(write_backs.c.account, func.count())
    .where(sql("write_backs.state IN ('waiting', 'sent')"))
    .group_by(write_backs.c.account)
)
_DEAD = (
    select(
        inbox_messages.c.account,
        func.count().label("letters"),
        func.min(inbox_messages.c.received_at).label("oldest_at"),
    )
    .where(sql("inbox_messages.state = 'dead'"))
    .group_by(inbox_messages.c.account)
)
_STATES = select(orders.c.state, func.count()).where(IS_ALIVE).group_by(orders.c.state)


def account_rows(transaction: Transaction, now: datetime) -> list[Json]:
    """Every configured account, by name."""
    profiles = profiles_at(transaction, now)
    records = {row.name: read_account(row) for row in transaction.rows(_RECORDS)}
    positions = {row.account: row for row in transaction.rows(_FEEDS)}
    figures = {
        "listings": _by_account(transaction, _LISTINGS),
        "listings_behind": _by_account(transaction, _BEHIND),
        "shipments_behind": _by_account(transaction, _UNTOLD),
        "write_backs_open": _by_account(transaction, _UNDONE),
        "dead_letters": _by_account(transaction, _DEAD),
    }
    left, shared = budgets.budgets_by_account(transaction, now), budgets.sharing(transaction)
    upkeep = upkeep_rows(transaction)
    return [
        _account(profile, records.get(name), positions.get(name), now)
        | {figure: counts.get(name, 0) for figure, counts in figures.items()}
        | {"rate_budget": left.get(name, []), "budget_shared_with": shared.get(name, [])}
        | upkeep.get(name, nothing_known())
        for name, profile in profiles.items()
    ]


def account_row(
    transaction: Transaction, name: str, now: datetime, *, settle_seconds: float
) -> Json:
    """One account; raises NotFound."""
    for row in account_rows(transaction, now):
        if row["name"] == name:
            settles = {name: settle_seconds}
            return budgets.add_drains(transaction, [row], now=now, settle_seconds=settles)[0]
    raise NotFound(f"there is no account {name!r}; see `oms-sync accounts list`")


def figures(transaction: Transaction, now: datetime) -> Json:
    """What the gauges show."""
    rows = account_rows(transaction, now)
    dead = {row.account: row.oldest_at for row in transaction.rows(_DEAD)}
    return {
        "orders": {row[0]: row[1] for row in transaction.rows(_STATES)},
        "cursor_age_seconds": {row["name"]: row["cursor_age_seconds"] for row in rows},
        "listings_behind": {row["name"]: row["listings_behind"] for row in rows},
        "shipments_behind": {row["name"]: row["shipments_behind"] for row in rows},
        "dead_letters": {row["name"]: row["dead_letters"] for row in rows},
        "oldest_dead_letter_seconds": {
            account: (now - oldest_at).total_seconds() for account, oldest_at in dead.items()
        },
    }


def _account(
    profile: AccountProfile, record: AccountRecord | None, position: Any, now: datetime
) -> Json:
    drained_at = position.drained_at if position is not None else None
    state = "paused" if record and record.is_paused else record.health if record else "ok"
    return {
        "name": profile.name,
        "connector": profile.connector,
        "mode": profile.mode,
        "state": state,
        "reason": record.reason if record else "",
        "last_order_poll_at": when(drained_at),
        "cursor_age_seconds": (now - drained_at).total_seconds() if drained_at else None,
        "first_connected_at": when(record.first_connected_at) if record else None,
        "backfilled_at": when(record.backfilled_at) if record else None,
        "token_expires_at": when(record.token_expires_at) if record else None,
        "clock_skew_seconds": record.clock_skew_seconds if record else None,
    }


def _by_account(transaction: Transaction, query: Select[Any]) -> dict[str, int]:
    return {row[0]: row[1] for row in transaction.rows(query)}
