"""Every row lock of the project: on PostgreSQL FOR UPDATE in one fixed order, on SQLite nothing,
since its one writer holds the whole database.

Order within a transaction: an account, orders by id, SKUs and their stock levels by SKU and
location, listings by id, write-backs by id; a lease last. Subjects are locked to erase them by who
holds nothing else.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, bindparam, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert

from oms_sync.storage.columns import among
from oms_sync.storage.connections import Transaction
from oms_sync.storage.tables import budgets, hub, inbox, listings, orders, stock, write_backs

Rows = Select[Any]


def _locking(rows: Rows, table: Table, *order: ColumnElement[Any], skip: bool = False) -> Rows:
    return rows.order_by(*order).with_for_update(of=table, skip_locked=skip)


def orders_in_order(rows: Rows) -> Rows:
    """Lock the orders `rows` selects, by id."""
    return _locking(rows, orders.orders, orders.orders.c.order_id)


def listings_in_order(rows: Rows) -> Rows:
    """Lock the listings `rows` selects, by id."""
    return _locking(rows, listings.listings, listings.listings.c.listing_id)


def levels_in_order(rows: Rows) -> Rows:
    """Lock the stock levels `rows` selects, by SKU and location."""
    columns = stock.stock_levels.c
    return _locking(rows, stock.stock_levels, columns.sku, columns.location)


def pushes_in_order(rows: Rows) -> Rows:
    """Lock the shipment pushes `rows` selects, by shipment."""
    return _locking(rows, orders.shipment_pushes, orders.shipment_pushes.c.shipment_id)


def write_backs_in_order(rows: Rows) -> Rows:
    """Lock the write-backs `rows` selects, by id."""
    return _locking(rows, write_backs.write_backs, write_backs.write_backs.c.write_id)


def budgets_in_order(rows: Rows) -> Rows:
    """Lock the call budgets `rows` selects, by owner and operation; nothing else goes with them."""
    columns = budgets.rate_buckets.c
    return _locking(rows, budgets.rate_buckets, columns.owner, columns.operation)


def subjects_in_use(rows: Rows) -> Rows:
    """Keep the subjects `rows` selects from being erased; others may use them meanwhile."""
    ordered = rows.order_by(hub.subjects.c.subject_id)
    return ordered.with_for_update(of=hub.subjects, read=True, key_share=True)


def subjects_to_erase(rows: Rows) -> Rows:
    """Lock subjects, passing over those somebody uses."""
    return _locking(rows, hub.subjects, hub.subjects.c.subject_id, skip=True)


def oldest_messages(rows: Rows) -> Rows:
    """Lock waiting messages, oldest first, passing over those another worker has."""
    columns = inbox.inbox_messages.c
    return _locking(rows, inbox.inbox_messages, columns.received_at, columns.message_id, skip=True)


def messages_by_id(rows: Rows) -> Rows:
    """Lock inbox messages, by id."""
    return _locking(rows, inbox.inbox_messages, inbox.inbox_messages.c.message_id)


_SKUS = _locking(
    select(stock.skus.c.sku).where(among(stock.skus.c.sku, "skus")),
    stock.skus,
    stock.skus.c.sku,
)
_ENSURE_SKU = postgres_insert(stock.skus).on_conflict_do_nothing()
_TOTALS = select(stock.ledger_totals).with_for_update()
_ACCOUNT = select(hub.accounts).where(hub.accounts.c.name == bindparam("name")).with_for_update()
_LEASE = select(hub.leases).where(hub.leases.c.name == bindparam("lease")).with_for_update()


def lock_skus(transaction: Transaction, skus: Iterable[str]) -> None:
    """Lock SKUs in order, so that also a level not there yet is decided by one at a time."""
    if not transaction.is_postgres:
        return
    wanted = sorted(set(skus))
    found = {row.sku for row in transaction.rows(_SKUS, {"skus": wanted})}
    missing = [{"sku": sku, "is_fill_due": False} for sku in wanted if sku not in found]
    if missing:
        transaction.run_many(_ENSURE_SKU, missing)
        transaction.rows(_SKUS, {"skus": wanted})


def lock_totals(transaction: Transaction) -> Any:
    """Lock the count of stock levels; None before the first level."""
    return transaction.row(_TOTALS)


def lock_account(transaction: Transaction, name: str) -> Any:
    """Lock what is known of one account; None when it was never connected."""
    return transaction.row(_ACCOUNT, {"name": name})


def lock_lease(transaction: Transaction, name: str) -> Any:
    """Lock one lease; None when nobody ever held it."""
    return transaction.row(_LEASE, {"lease": name})
